import Foundation
import Testing

/// Area IP: IPC, sockets, buses, keyrings.
@Suite(.recorded("IP")) struct IPC {
    @Test func `shared memory, queues and semaphores of the host are not seen`() throws {
        row("IP-01")
        let key = Int.random(in: 0x1000_0000...0x6fff_ffff)
        let probe = try Tools.probe.get()
        let queue = "queue,/box-test-\(key)"
        #expect(try Host.run([probe, "sysv-make,\(key)", "queue-make,/box-test-\(key)"]).status == 0)
        defer { _ = try? Host.run([probe, "sysv-remove,\(key)", "queue-remove,/box-test-\(key)"]) }
        let act = "sysv,\(key)"
        let control = try Answer.parse(try Host.run([probe, act, queue]), acts: [act, queue])
        #expect(
            control[act]?.detail == "shm msg sem " && control[queue]?.worked == true, "no control: \(control)"
        )
        let box = try Box()
        let inside = try box.probe([act, queue])
        #expect(inside[act]?.word == "ENOENT" && inside[act]?.detail == "", "\(inside)")
        #expect(inside[queue]?.word == "ENOENT", "\(inside)")
        let list = try box.shell("ipcs -a | grep -E '^0x' || true; ls /dev/mqueue")
        #expect(list.out.isEmpty, "\(list)")
        let works = try box.probe(["sysv-make,77", "queue-make,/own"])
        #expect(works["sysv-make,77"]?.result == 3 && works["queue-make,/own"]?.worked == true, "\(works)")
    }

    @Test func `a key of the host cannot be read`() throws {
        row("IP-03")
        let box = try Box()
        // A key that its user may read from any session: by its number, which is no secret.
        let probe = try Tools.probe.get()
        let add = "call,add_key,@user,@box-test-key,@secret,6,-4"
        let serial = try #require(try Answer.parse(try Host.run([probe, add]), acts: [add])[add]?.result)
        defer { _ = try? Host.run([probe, "call,keyctl,3,\(serial)"]) }
        let describe = "call,keyctl,6,\(serial),*200,200"
        let control = try Answer.parse(try Host.run([probe, describe]), acts: [describe])[describe]
        #expect(control?.worked == true, "no control: \(String(describing: control))")
        let inside = try box.probe([describe, "read,/proc/keys"])
        #expect(inside[describe]?.word == "ENOSYS", "\(inside)")
        #expect(inside["read,/proc/keys"]?.detail == "", "\(inside)")
    }

    @Test func `an abstract socket of the host is not there`() throws {
        row("IP-04")
        let name = "box-test-\(UInt64.random(in: 0...UInt64.max))"
        let sentinel = try Sentinel(.abstract(name))
        let act = "unix,@\(name)"
        let control = try Answer.parse(try Host.run([try Tools.probe.get(), act]), acts: [act])[act]
        #expect(
            control?.worked == true && sentinel.connections() == 1,
            "no control: \(String(describing: control))")
        let inside = try #require(try Box().probe([act])[act])
        #expect(inside.word == "ECONNREFUSED", "\(inside)")
        #expect(sentinel.connections() == 0)
    }

    @Test func `no socket of a service of the host is there`() throws {
        row("IP-05")
        let box = try Box()
        var runtime = [
            "docker.sock", "containerd/containerd.sock", "podman/podman.sock", "crio/crio.sock",
            "dbus/system_bus_socket", "systemd/private", "systemd/notify", "systemd/journal/stdout",
            "systemd/resolve/io.systemd.Resolve", "cups/cups.sock", "avahi-daemon/socket", "nscd/socket",
            "snapd.socket",
            "libvirt/libvirt-sock", "tailscale/tailscaled.sock", "pcscd/pcscd.comm",
            "postgresql/.s.PGSQL.5432",
        ].flatMap { ["/run/\($0)", "/var/run/\($0)"] }
        runtime += (0...1).map { "/tmp/.X11-unix/X\($0)" }
        // And those that a user's own programs make, which are really there, with somebody who listens.
        let own = ["S.gpg-agent", "bus", "wayland-0", "agent.1", "pipewire-0"].map {
            box.scratch.home + "/" + $0
        }
        let sentinels = try own.map { try Sentinel(.path($0)) }
        let acts = (runtime + own).map { "unix,\($0)" }
        let control = try Answer.parse(try Host.run([try Tools.probe.get()] + acts), acts: acts)
        for path in own { #expect(control["unix,\(path)"]?.worked == true, "no control for \(path)") }
        _ = sentinels.map { $0.connections() }
        let inside = try box.probe(acts)
        for act in acts {
            #expect(inside[act]?.word == "ENOENT", "\(act): \(String(describing: inside[act]))")
        }
        #expect(sentinels.allSatisfy { $0.connections() == 0 })
        let listing = try box.shell("ls -A /run; find / -type s -not -path '/proc/*' 2>/dev/null")
        #expect(!listing.text.contains("sock") && !listing.text.contains("dbus"), "\(listing)")
    }

    @Test func `unix and internet sockets work inside`() throws {
        row("IP-09")
        let box = try Box()
        let acts = [
            "unix-pair,\(box.scratch.project)/own.sock", "unix-pair,/tmp/own.sock", "tcp-pair,127.0.0.1",
            "tcp-pair,::1",
        ]
        let inside = try box.probe(acts)
        for act in acts { #expect(inside[act]?.worked == true, "\(act): \(String(describing: inside[act]))") }
    }
}

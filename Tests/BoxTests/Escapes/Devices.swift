import Foundation
import Testing

/// Area DV: devices and terminals.
@Suite(.recorded("DV")) struct Devices {
    static let known = [
        "/dev/null=c1:3", "/dev/zero=c1:5", "/dev/full=c1:7", "/dev/random=c1:8", "/dev/urandom=c1:9",
        "/dev/tty=c5:0",
    ]

    @Test func `there are exactly the harmless devices`() throws {
        row("DV-01")
        let act = "devices,/dev"
        let control =
            try Answer.parse(try Host.run([try Tools.probe.get(), act]), acts: [act])[act]?.result ?? 0
        #expect(control > 12, "no control")
        let inside = try #require(try Box().probe([act])[act]?.detail).split(separator: " ").map(String.init)
        for device in Devices.known { #expect(inside.contains(device), "\(device) is missing: \(inside)") }
        let more = inside.filter { device in
            !Devices.known.contains(device) && device != "/dev/pts/ptmx=c5:2" && device != "/dev/ptmx=c5:2"
                && !device.hasPrefix("/dev/pts/")
        }
        #expect(more.isEmpty, "\(more)")
        #expect(inside.filter { $0.hasPrefix("/dev/pts/") && !$0.contains("ptmx") }.isEmpty, "\(inside)")
        let links = try Box().shell(
            """
            for n in fd stdin stdout stderr; do readlink /dev/$n; done; echo x > /dev/null; head -c \
            3 /dev/zero | od -An -tx1; head -c 8 /dev/urandom | wc -c; head -c 1 /dev/zero > \
            /dev/full
            """
        )
        #expect(
            links.lines.prefix(4).allSatisfy { $0.hasPrefix("/proc/self/fd") }
                && links.errors.contains("No space"), "\(links)")
    }

    @Test func `no device elsewhere`() throws {
        row("DV-01")
        let inside = try Box().shell(
            """
            find / -xdev \\( -type b -o -type c \\) -not -path '/dev/*' -not -path '/proc/*' \
            2>/dev/null; ls /dev/vda /dev/loop0 /dev/fuse /dev/kvm /dev/net/tun /dev/mem /dev/kmsg \
            /dev/vsock /dev/dri /dev/console /dev/tty0
            """
        )
        #expect(inside.out.isEmpty, "\(inside)")
    }

    @Test func `terminals of the host cannot be opened`() throws {
        row("DV-03")
        let shell = try Running(
            ["/bin/cat"], environment: [:], directory: "/", streams: .terminal(rows: 24, columns: 80))
        let path = try #require(shell.terminalPath)
        let act = "open,\(path),rw"
        let control = try Answer.parse(try Host.run([try Tools.probe.get(), act]), acts: [act])[act]
        #expect(control?.worked == true, "no control: \(String(describing: control))")
        let box = try Box()
        let inside = try #require(try box.probe([act, "pty-ioctl,0x5413,0"])[act])
        #expect(inside.word == "ENOENT", "\(inside)")
        let own = try #require(try box.probe(["pty-ioctl,0x5413,0"])["pty-ioctl,0x5413,0"])
        #expect(own.worked, "a terminal of one's own: \(own)")
        let listing = try box.shell("ls /dev/pts; python3 -c 'import pty; pty.spawn([\"tty\"])'")
        #expect(
            listing.lines.first?.contains("ptmx") == true && listing.text.contains("/dev/pts/"), "\(listing)")
    }
}

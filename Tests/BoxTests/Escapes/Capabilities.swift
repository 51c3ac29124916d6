import Foundation
import Testing

/// Area CP: capabilities and ids.
@Suite(.recorded("CP")) struct Capabilities {
    static let table: [Attempt] = [
        Attempt("CP-02", "capset of all", "gain", "EPERM"),
        Attempt("CP-02", "PR_SET_SECUREBITS", "call,prctl,28,0,0,0,0", "EPERM"),
        Attempt("CP-02", "PR_SET_KEEPCAPS", "call,prctl,8,1,0,0,0", "EPERM", control: .outside),
        Attempt("CP-02", "PR_CAP_AMBIENT", "call,prctl,47,4,0,0,0", "EPERM", control: .outside),
        Attempt(
            "CP-02", "the secure bits are set and locked", "call,prctl,27,0,0,0,0",
            .answer("NOROOT, NO_SETUID_FIXUP, no KEEP_CAPS, all locked") {
                $0.worked && ($0.result ?? 0) & 0x2f == 0x2f && ($0.result ?? 0) & 0x10 == 0
            }, .outside),
        Attempt(
            "CP-02", "the bounding set has nothing", "call,prctl,23,21,0,0,0",
            .answer("0") { $0.worked && $0.result == 0 }, .outside),
        Attempt("CP-02", "setuid to 0", "call,setuid,0", "EPERM", "EINVAL"),
        Attempt(
            "CP-02", "setresuid to another", "call,setresuid,12345,12345,12345", "EPERM", "EINVAL",
            control: .outside),
        Attempt("CP-02", "setgid to 0", "call,setgid,0", "EPERM", "EINVAL"),
        Attempt("CP-03", "setgroups", "call,setgroups,0,0", "EPERM", control: .outside),
        Attempt("CP-03", "setgroups with one", "call,setgroups,1,*4", "EPERM", control: .outside),
    ]
    static let sweep = Sweep(table)

    @Test(arguments: table)
    func `power cannot be had back`(_ attempt: Attempt) throws { try Capabilities.sweep.check(attempt) }

    @Test func `all five capability sets are empty`() throws {
        row("CP-01")
        let outcome = try Box().shell("grep ^Cap /proc/self/status; sh -c 'grep ^Cap /proc/$$/status'")
        #expect(outcome.lines.count == 10, "\(outcome)")
        #expect(outcome.lines.allSatisfy { $0.hasSuffix("\t0000000000000000") }, "\(outcome)")
        let control = try Host.run(["/bin/sh", "-c", "grep CapBnd /proc/self/status"])
        #expect(!control.text.hasSuffix("\t0000000000000000\n"), "no control")
    }

    @Test func `supplementary groups that matter are not shown by name`() throws {
        row("CP-03")
        let outcome = try Box().shell("id -G; id -Gn")
        let known = Set(["\(getegid())", "65534", "\(geteuid())"])
        let numbers = try #require(outcome.lines.first).split(separator: " ").map(String.init)
        #expect(numbers.count <= 2 || !Host.isRoot, "\(outcome)")
        #expect(!Host.isRoot || numbers.allSatisfy { known.contains($0) || Int($0) ?? 0 > 0 }, "\(outcome)")
        #expect(!outcome.text.contains("docker") && !outcome.text.contains("sudo"), "\(outcome)")
    }

    @Test func `files that only a group of the host may read are not there`() throws {
        row("CP-03")
        let outcome = try Box().shell(
            "cat /etc/shadow /etc/gshadow /var/log/syslog /etc/sudoers; ls /etc/ssh")
        #expect(outcome.out.isEmpty, "\(outcome)")
        #expect(outcome.errors.components(separatedBy: "No such file").count >= 5, "\(outcome)")
    }

    @Test func `the only accounts are synthetic`() throws {
        row("CP-05")
        let outcome = try Box().shell("getent passwd; echo; getent group; echo; id -un; whoami; id")
        let parts = outcome.text.components(separatedBy: "\n\n")
        #expect(parts.count == 3 && outcome.status == 0, "\(outcome)")
        #expect(parts[0].split(separator: "\n").count <= 3, "\(outcome)")
        #expect(parts[1].split(separator: "\n").count <= 4, "\(outcome)")
        let hosts = try Host.shell("getent passwd").lines.count
        #expect(hosts > 3, "no control")
    }

    @Test func `a set-uid program stays who it was`() throws {
        row("FS-13")
        let box = try Box()
        let outcome = try box.shell(
            """
            grep NoNewPrivs /proc/self/status
            for p in su sudo mount pkexec passwd newuidmap; do
                f=$(command -v $p) || continue
                $f --version >/dev/null 2>&1 </dev/null; echo "ran $p"
            done
            su -c 'id -u' </dev/null 2>/dev/null | grep -x 0; echo done
            """)
        #expect(outcome.text.contains("NoNewPrivs:\t1") && outcome.lines.last == "done", "\(outcome)")
        #expect(!outcome.lines.contains("0"), "\(outcome)")
        guard Host.isRoot else {
            return skip("FS-13 a set-uid copy", "only root can make a copy of another's")
        }
        // A copy that belongs to 77 and is 4755: outside it runs as 77.
        let copy = box.scratch.project + "/setuid-probe"
        let made = try Host.shell(
            """
            chmod 755 \(box.scratch.root) \(box.scratch.project) && cp \(box.scratch.project)/probe \
            \(copy) && chown 77 \(copy) && chmod 4755 \(copy)
            """
        )
        #expect(made.status == 0)
        let act = "setuid-copy,\(copy)"
        let control = try Answer.parse(try Host.run([copy, act]), acts: [act])[act]?.result
        #expect(control == 77, "no control")
        let inside = try #require(try box.probe([act])[act]?.result)
        #expect(inside != 77 && inside != 0, "effective uid \(inside)")
    }
}

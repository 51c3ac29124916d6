import Foundation
import Testing

/// Area FD: inherited descriptors.
@Suite(.recorded("FD")) struct Descriptors {
    @Test func `the first command has three descriptors`() throws {
        row("FD-01")
        let box = try Box()
        for command in [["/bin/ls", "/proc/self/fd"], ["/usr/bin/ls", "-1", "/proc/thread-self/fd"]] {
            let outcome = try box.run(command)
            // The fourth is the listing's own.
            #expect(outcome.lines == ["0", "1", "2", "3"], "\(outcome)")
        }
    }

    @Test func `descriptors of the user's shell do not get in`() throws {
        row("FD-02")
        let box = try Box()
        try box.scratch.write("the secret", to: box.scratch.home + "/secret")
        let open = ["/bin/bash", "-c", "exec 9</ 8<>\"$HOME/secret\" 77</etc; exec \"$@\"", "bash"]
        let control = try Host.run(
            open + ["/bin/bash", "-c", "cat <&8"], environment: ["HOME": box.scratch.home])
        #expect(control.text == "the secret", "no control")
        let script =
            """
            ls /proc/self/fd; cat <&8; ls /proc/self/fd/9/ /proc/self/fd/77/; for p in \
            /proc/[0-9]*; do ls $p/fd; done
            """
        let inside = try box.call(["run"] + box.options + ["--", "/bin/bash", "-c", script], rig: open)
        #expect(inside.lines.prefix(4) == ["0", "1", "2", "3"], "\(inside)")
        #expect(
            !inside.lines.contains("8") && !inside.lines.contains("9") && !inside.lines.contains("77"),
            "\(inside)")
        #expect(
            !inside.text.contains("secret") && inside.errors.contains("8: Bad file descriptor"), "\(inside)")
    }

    @Test func `a log that the errors go to cannot be read or cut short from inside`() throws {
        row("FD-04")
        let box = try Box()
        let log = box.scratch.root + "/log"
        try box.scratch.write("earlier lines\n", to: log)
        let append = ["/bin/sh", "-c", "exec \"$@\" 2>>'\(log)' >>'\(log)'", "sh"]
        let script = """
            (timeout 0.2 cat /proc/self/fd/2 /proc/self/fd/1 2>/dev/null)
            for i in 1 2; do (: > /proc/self/fd/$i); done
            echo end >&2
            """
        let control = try Host.run(append + ["/bin/sh", "-c", ": > /proc/self/fd/2"])
        let emptied = try Host.text(log)
        #expect(control.status == 0 && emptied.isEmpty, "no control")
        try box.scratch.write("earlier lines\n", to: log)
        let outcome = try box.call(["run"] + box.options + ["--", "/bin/sh", "-c", script], rig: append)
        let text = try Host.text(log)
        #expect(text.hasPrefix("earlier lines\n") && text.contains("end\n"), "\(text) \(outcome)")
        #expect(text.components(separatedBy: "earlier lines").count == 2, "\(text)")
    }

    @Test func `no task inside holds a descriptor of box or its proxy`() throws {
        row("FD-05")
        let box = try Box()
        let script = "sleep 30 & for f in /proc/[0-9]*/fd/*; do readlink $f; done; kill $!"
        let outcome = try box.shell(script)
        let strange = outcome.lines.filter { target in
            !["pipe:", "/dev/null", "/dev/pts/", "/proc/"].contains { target.hasPrefix($0) }
        }
        #expect(strange.isEmpty && outcome.lines.count >= 3, "\(outcome)")
    }
}

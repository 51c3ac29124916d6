import Foundation
import Testing

/// Area FS: what of the file system there is, and what can be done to it.
@Suite(.recorded("FS")) struct Files {
    /// FS-01: places where nothing may be made. A read-only mount says so before it looks at permissions.
    static let places: [Attempt] = [
        "", "/etc", "/usr", "/usr/bin", "/opt", "/var", "/boot", "/bin", "/lib", "/sys", "/dev",
    ]
    .map {
        Attempt("FS-01", "a file in \($0)/", "create,\($0)/box-probe", "EROFS", "ENOENT", control: .outside)
    }

    /// FS-05, FS-07: a secret of the host by its path, by links and by every spelling.
    static let secrets: [Attempt] =
        [
            ("FS-05", "by a link in the project", "{here}/link"),
            ("FS-05", "by a relative link in the project", "{here}/relative"),
            ("FS-07", "by its path", "{secret}"),
            ("FS-07", "below /proc/self/root", "/proc/self/root{secret}"),
            ("FS-07", "below /proc/thread-self/root", "/proc/thread-self/root{secret}"),
            ("FS-07", "above the working directory", "/proc/self/cwd/../secret"),
            ("FS-07", "with double slashes", "/{secret}"), ("FS-07", "with dots", "/./{secret}"),
            ("FS-07", "from far below", "{here}" + String(repeating: "/..", count: 80) + "{secret}"),
            ("FS-07", "by a detour in /proc", "/proc/self/task/../root{secret}"),
            ("FS-04", "a sibling of the project", "{here}/../sibling/file"),
        ].map {
            Attempt(
                $0.0, "the secret \($0.1)", "read,\($0.2)", "ENOENT", "EACCES", "EPERM", control: .outside)
        }

    static let nodes: [Attempt] = [
        Attempt(
            "FS-15", "null as a node", "call,mknodat,-100,@{here}/null,0x21b6,0x103", "EPERM",
            control: .outside),
        Attempt("FS-15", "a disk", "call,mknodat,-100,@{here}/disk,0x61b6,0x800", "EPERM", control: .outside),
        Attempt(
            "FS-15", "a whiteout", "call,mknodat,-100,@{here}/whiteout,0x2000,0", "EPERM", control: .outside),
        Attempt(
            "FS-15", "a device by the older call", "call,mknod,@{here}/old,0x21b6,0x103", "EPERM",
            control: .outside),
        Attempt("FS-15", "a FIFO", "call,mknodat,-100,@{here}/fifo,0x11b6,0", .works, .outside),
        Attempt("FS-15", "a socket", "call,mknodat,-100,@{here}/socket,0xc1b6,0", .works, .outside),
        Attempt("FS-19", "the root by its handle", "handle,/", "EPERM", control: .outside),
        Attempt("FS-19", "the project by its handle", "handle,{here}", "EPERM", control: .outside),
        Attempt("FS-19", "/usr by its handle", "handle,/usr", "EPERM", control: .outside),
        Attempt("FS-23", "fanotify", "call,fanotify_init,0,0", "EPERM", control: .outside),
        Attempt("FS-23", "quotactl", "call,quotactl,0x800007,@/dev/vda,0,*128", "EPERM", control: .outside),
        Attempt(
            "FS-23", "an immutable file", "flags,{here}/immutable,0x10", "EPERM", "EACCES", "ENOTTY",
            control: .outside),
        Attempt(
            "FS-23", "a project id", "project,{here}/project-id,7", "EPERM", "EINVAL", "EACCES", "ENOTTY",
            "EOPNOTSUPP", control: .outside),
        Attempt(
            "FS-25", "a hard link of a read-only file",
            "call,linkat,-100,@{readable}/file,-100,@{here}/hard,0", "EXDEV", "EPERM", control: .outside),
        Attempt(
            "FS-25", "a hard link of a read-only descriptor",
            "call,linkat,%{readable}/file,@,-100,@{here}/hard2,0x1000", "EXDEV", "EPERM", "ENOENT",
            control: .outside),
        Attempt(
            "FS-25", "a hard link through /proc",
            "call,linkat,-100,@/proc/self/cwd/../readable/file,-100,@{here}/hard3,0x400", "EXDEV", "EPERM",
            "ENOENT", control: .outside),
        Attempt(
            "FS-10", "a change of a read-only file", "open,{readable}/file,rw", "EROFS", "EACCES",
            control: .outside),
        Attempt(
            "FS-10", "the mode of a read-only file", "call,fchmodat,-100,@{readable}/file,0777", "EROFS",
            "EPERM", control: .outside),
        Attempt(
            "FS-10", "the times of a read-only file", "call,utimensat,-100,@{readable}/file,0,0", "EROFS",
            "EACCES", control: .outside),
        Attempt(
            "FS-10", "an attribute of a read-only file", "call,setxattr,@{readable}/file,@user.box,@x,1,0",
            "EROFS", "EPERM", "EACCES", control: .outside),
        Attempt(
            "FS-10", "the name of a read-only file",
            "call,renameat2,-100,@{readable}/other,-100,@{readable}/renamed,0", "EROFS", "EACCES", "EXDEV",
            control: .outside),
        Attempt(
            "FS-10", "a read-only file's life", "call,unlinkat,-100,@{readable}/renamed,0", "EROFS", "EACCES",
            "ENOENT", control: .outside),
        Attempt("FS-10", "a file of its own in the project", "create,{here}/own", .works, .outside),
        Attempt("FS-10", "a file of its own in /tmp", "create,/tmp/box-own-{unique}", .works, .outside),
        Attempt(
            "FS-10", "a file of its own in /var/tmp", "create,/var/tmp/box-own-{unique}", .works, .outside),
        Attempt(
            "FS-10", "a file of its own in /dev/shm", "create,/dev/shm/box-own-{unique}", .works, .outside),
    ]

    static let table = places + secrets + nodes
    static let sweep = Sweep(
        table, options: { ["--read", $0["readable"] ?? "/"] },
        prepare: { scratch in
            try scratch.write("content", to: scratch.root + "/readable/file", mode: 0o666)
            try scratch.write("content", to: scratch.root + "/readable/other", mode: 0o666)
            try scratch.write("the secret", to: scratch.root + "/secret")
            try scratch.write("the secret", to: scratch.root + "/sibling/file")
            for place in [scratch.project, scratch.root + "/control"] {
                try FileManager.default.createSymbolicLink(
                    atPath: place + "/link", withDestinationPath: scratch.root + "/secret")
                try FileManager.default.createSymbolicLink(
                    atPath: place + "/relative", withDestinationPath: "../secret")
            }
            return [
                "readable": scratch.root + "/readable", "secret": scratch.root + "/secret",
                "unique": (scratch.root as NSString).lastPathComponent,
            ]
        })

    @Test(arguments: table)
    func `the file system shows and takes only what the policy says`(_ attempt: Attempt) throws {
        try Files.sweep.check(attempt)
    }

    @Test func `nothing of the user's home is inside`() throws {
        row("FS-03")
        let box = try Box()
        try box.scratch.write("key", to: box.scratch.home + "/.ssh/id_ed25519", mode: 0o600)
        try box.scratch.write("canary", to: box.scratch.home + "/canary")
        let outcome = try box.shell(
            """
            ls -A ~; cat ~/canary \(box.scratch.home)/canary \(box.scratch.home)/.ssh/id_ed25519; \
            find / -name canary -not -path '/proc/*' 2>/dev/null; echo written > ~/inside && cat \
            ~/inside
            """
        )
        #expect(outcome.answer == "written", "\(outcome)")
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: box.scratch.home).sorted() == [
                ".ssh", "canary",
            ])
    }

    @Test func `the directories above the project are empty but for it`() throws {
        row("FS-04")
        let box = try Box()
        try box.scratch.write("x", to: box.scratch.root + "/sibling/file")
        let outcome = try box.shell(
            "ls -A ..; echo; ls -A ../..; cat ../sibling/file; mkdir ../made; touch ../../made")
        let siblings = outcome.text.components(separatedBy: "\n\n").first?.split(separator: "\n") ?? []
        #expect(
            siblings.contains("project") && !siblings.contains("sibling") && !siblings.contains("state"),
            "\(outcome)")
        #expect(!FileManager.default.fileExists(atPath: box.scratch.root + "/made"))
    }

    @Test func `the host's files are what they were`() throws {
        row("FS-01")
        let box = try Box()
        for name in ["state/other", "home/file", "readable/file"] {
            try box.scratch.write("content of \(name)", to: box.scratch.root + "/" + name)
        }
        let places = [box.scratch.home, box.scratch.root + "/readable"]
        let before = try places.map(Host.manifest)
        let script = """
            for d in / /etc /usr /usr/bin /opt /var /boot /lib /root /home \(places.joined(separator: " ")); do
                touch $d/box-made; mkdir $d/box-dir; echo x >> $d/file; rm -rf $d/file; chmod 777 $d; mv $d $d.moved
                ln -s /etc/passwd $d/box-link; touch -d 2001-01-01 $d/file; truncate -s 0 $d/file
            done; true
            """
        let outcome = try box.shell(script, options: ["--read", box.scratch.root + "/readable"])
        #expect(outcome.status == 0, "\(outcome)")
        #expect(try places.map(Host.manifest) == before)
        for place in ["/", "/etc/", "/usr/", "/usr/bin/", "/opt/", "/var/", "/home/"] {
            #expect(!FileManager.default.fileExists(atPath: place + "box-made"), "\(place)")
        }
        #expect(try Host.manifest("/etc/ssl").count > 1)
    }

    struct Mount {
        let root: String, target: String, options: Set<String>, tags: String, type: String, whole: String
        init?(_ line: String) {
            let words = line.split(separator: " ").map(String.init)
            guard let dash = words.firstIndex(of: "-"), dash >= 6, words.count > dash + 1 else { return nil }
            (root, target, type, whole) = (words[3], words[4], words[dash + 1], line)
            options = Set(words[5].split(separator: ",").map(String.init))
            tags = words[6..<dash].joined(separator: " ")
        }
    }

    @Test func `every mount has the flags it should`() throws {
        row("FS-12")
        let box = try Box()
        let mounts = try box.run(["/bin/cat", "/proc/self/mountinfo"]).lines.compactMap(Mount.init)
        #expect(mounts.count > 8)
        for mount in mounts {
            #expect(mount.options.contains("nosuid"), "\(mount.whole)")
            let isDevice = mount.target.hasPrefix("/dev/") && mount.type == "devtmpfs"
            let holdsDevices = mount.target == "/dev" || mount.type == "devpts"
            #expect(
                mount.options.contains("nodev") || isDevice || holdsDevices
                    || mount.target.hasPrefix("/dev/"), "\(mount.whole)")
            #expect(mount.tags.isEmpty, "propagates: \(mount.whole)")
        }
        // What is not a mount of its own is part of the one above it.
        for target in ["/", "/usr", "/etc", "/dev", "/var", "/home", "/opt", "/bin", "/lib"] {
            let above = mounts.filter {
                target == $0.target || target.hasPrefix($0.target == "/" ? "/" : $0.target + "/")
            }
            let mount = try #require(above.max { $0.target.count < $1.target.count })
            #expect(mount.options.contains("ro"), "\(target): \(mount.whole)")
        }
        for target in ["/tmp", "/var/tmp", "/dev/shm", "/run"] {
            let mount = try #require(mounts.last { $0.target == target }, "no mount at \(target)")
            #expect(
                mount.type == "tmpfs" && mount.root == "/" && mount.options.contains("rw"), "\(mount.whole)")
        }
        let hosts = try Host.mounts()
        #expect(hosts.contains("rw,"), "no control")
    }

    @Test func `mountinfo tells no path of box's state`() throws {
        row("FS-11")
        let box = try Box()
        let outcome = try box.shell(
            """
            cat /proc/self/mountinfo /proc/self/mounts /proc/self/mountstats; find / -xdev -name \
            sessions 2>/dev/null
            """
        )
        #expect(
            !outcome.text.contains(box.scratch.state) && !outcome.text.contains("/sessions"), "\(outcome)")
        #expect(!outcome.text.contains("lowerdir=/") && !outcome.text.contains("upperdir=/"), "\(outcome)")
    }

    @Test func `the temporary directories are private`() throws {
        row("FS-21")
        let box = try Box()
        let name = (box.scratch.root as NSString).lastPathComponent + "-sentinel"
        let sentinels = ["/tmp/\(name)", "/var/tmp/\(name)", "/dev/shm/\(name)"]
        for path in sentinels { try box.scratch.write("the host's", to: path) }
        defer { for path in sentinels { _ = unsafe unlink(path) } }
        let outcome = try box.shell(
            "cat \(sentinels.joined(separator: " ")); for d in /tmp /var/tmp /dev/shm /run; do echo x > $d/\(name)-inside && cat $d/\(name)-inside; done"
        )
        #expect(outcome.text == "x\nx\nx\nx\n", "\(outcome)")
        for path in sentinels { #expect(!FileManager.default.fileExists(atPath: path + "-inside")) }
    }

    @Test func `a state directory that is a link or another's is refused`() throws {
        row("FS-21")
        let linked = try Box()
        try FileManager.default.createSymbolicLink(
            atPath: linked.scratch.state + "/box", withDestinationPath: linked.scratch.root)
        let outcome = try linked.shell("echo started")
        #expect(
            outcome.status == 125 && outcome.out.isEmpty && outcome.errors.contains("state"), "\(outcome)")
        guard Host.isRoot else { return }
        let foreign = try Box()
        let made = try Host.shell(
            "mkdir \(foreign.scratch.state)/box && chown 77 \(foreign.scratch.state)/box")
        #expect(made.status == 0)
        let refused = try foreign.shell("echo started")
        #expect(refused.status == 125 && refused.out.isEmpty, "\(refused)")
    }
}

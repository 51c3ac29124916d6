import BoxKernel
import BoxStage
import BoxTypes
import CLinux
import Glibc
import Testing

@Suite struct StageStores {
    @Test func `a stage comes back as it was written, hidden names that are no text too`() throws {
        let fixture = try StageFixture()
        let names: [[UInt8]] = [[0xFF, 0x2F, 0x61], Array("a \"b\"\n\u{1B}/é".utf8), Array("x".utf8)]
        fixture.stage.roots[0].hidden = names.compactMap { BytePath($0) }
        var second = fixture.stage.roots[0]
        second.device = UInt64.max
        second.hidden = []
        fixture.stage.roots.append(second)
        for mode in Stage.Mode.allCases {
            fixture.stage.mode = mode
            try fixture.stage.write()
            #expect(try Stage.read(fixture.stage.directory, session: "test-1") == fixture.stage)
        }
        #expect(try fixture.shell("ls", in: fixture.stage.directory) == "0\nstage.json\n")
    }

    @Test func `no stage is nil, and another session's is an error`() throws {
        let fixture = try StageFixture()
        #expect(try Stage.read(fixture.stage.directory, session: "test-1") == nil)
        #expect(try Stage.read(fixture.path + "/nowhere", session: "test-1") == nil)
        try fixture.stage.write()
        #expect(throws: StageError.self) { try Stage.read(fixture.stage.directory, session: "other-1") }
    }

    @Test(arguments: [
        "", "{", "null", "sed -i s/overlay/upside/", "sed -i s/format/farmat/", "sed -i '/started/d'",
        "sed -i 's|\"host\": \"/|\"host\": \"|'", "sed -i 's/\"format\": 1/\"format\": 2/'",
    ])
    func `a damaged stage is an error that says so`(_ damage: String) throws {
        let fixture = try StageFixture()
        try fixture.stage.write()
        try fixture.shell(
            damage.hasPrefix("sed") ? damage + " stage.json" : "printf '%s' '\(damage)' > stage.json",
            in: fixture.stage.directory)
        let error = #expect(throws: StageError.self) {
            try Stage.read(fixture.stage.directory, session: "test-1")
        }
        #expect(error?.description.contains("damaged") ?? false)
    }

    @Test func `a stage is removed with whatever is in it, and nothing beside it`() throws {
        let fixture = try StageFixture(host: "echo x > keep; chmod 444 keep")
        try fixture.stage.write()
        try fixture.python(
            """
            for name in (b'\\xff', b'new\\nline', b'-rf', b'x' * 255): open(name, 'w')
            os.symlink('../../../host', 'link'); os.symlink('../../../host/keep', 'file')
            os.link('../../../host/keep', 'hard'); os.mkfifo('fifo'); os.mknod('gone', 0o20000, 0)
            os.makedirs('closed/a/b'); open('closed/a/b/c', 'w')
            os.makedirs('../work/work/x')
            for path in ('closed/a/b', 'closed/a', 'closed', '../work/work'): os.chmod(path, 0)
            os.mkdir('many'); os.chdir('many')
            for i in range(2000): open(str(i), 'w')
            os.chdir('..')
            for i in range(3000): os.mkdir('d'); os.chdir('d'); os.mkdir('e')
            os.chmod('.', 0)
            """, in: fixture.upper)
        try fixture.stage.remove()
        #expect(
            try fixture.shell("ls; cat host/keep; stat -c %h host/keep", in: fixture.path)
                == "host\noutput\nx\n1\n")
        // Nothing there is fine.
        try fixture.stage.remove()
    }

    @Test func `twenty thousand levels are removed with few descriptors open`() async throws {
        await #expect(processExitsWith: .success) {
            let fixture = try StageFixture()
            try fixture.python("for i in range(20000): os.mkdir('d'); os.chdir('d')", in: fixture.upper)
            var limit = rlimit(rlim_cur: 64, rlim_max: 64)
            unsafe try check("setrlimit", setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit))
            try fixture.stage.remove()
            guard try Tree.open(fixture.path).child(Array("stage".utf8)) == nil else { exit(1) }
        }
    }
}

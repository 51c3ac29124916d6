import BoxTypes
import Testing

/// Sizes, times, CPU counts and the names of environment variables.
struct UnitsTests {
    @Test(arguments: [
        ("0", 0), ("1", 1), ("100k", 100_000), ("100K", 100_000), ("512MB", 512_000_000),
        ("4GB", 4_000_000_000),
        ("4gb", 4_000_000_000), ("1.5GiB", 1_610_612_736), ("1KiB", 1024), ("0.5KiB", 512), ("7B", 7),
        ("1.000MB", 1_000_000), ("0.000001MB", 1), ("2TiB", 2_199_023_255_552),
        ("1PB", 1_000_000_000_000_000),
        ("9223372036854775807", Int.max), ("8191PiB", 8191 << 50),
    ])
    func `a size is read exactly`(text: String, bytes: Int) throws {
        #expect(try ByteSize(text).bytes == bytes)
    }

    @Test(arguments: [
        "", "GB", "-1", "+1", "1 GB", " 1", "1.", ".5GB", "1.2.3", "1e3", "0x10", "4GBB", "4 GB", "١GB",
        "1,5GB",
        "0.5", "1.0001KB", "9223372036854775808", "8192PiB", "9999999999999999999999GB", "0.0000000001GB",
        "4\u{0}GB", "4G\u{301}B", "NaN", "inf", "1_000",
    ])
    func `what is not a size is refused`(text: String) {
        #expect(throws: UnitRefusal.self) { try ByteSize(text) }
    }

    @Test(arguments: [
        (0, "0B"), (1, "1B"), (1001, "1001B"), (1024, "1KiB"), (4_000_000_000, "4GB"), (8 << 30, "8GiB"),
        (1_610_612_736, "1536MiB"), (Int.max, "9223372036854775807B"),
    ])
    func `a size is shown in the largest unit that divides it`(bytes: Int, text: String) {
        #expect(ByteSize(bytes: bytes).description == text)
    }

    @Test func `every shown size reads back as itself`() throws {
        var generator = SystemRandomNumberGenerator()
        for shift in 0..<63 {
            let bytes = Int.random(in: 0...(Int.max >> shift), using: &generator)
            for size in [ByteSize(bytes: bytes), ByteSize(bytes: bytes / 1024 * 1024)] {
                #expect(try ByteSize(size.description) == size)
            }
        }
    }

    @Test(arguments: [
        ("90", 90), ("90s", 90), ("10m", 600), ("2h", 7200), ("1h30m", 5400), ("1d", 86400),
        ("1d2h3m4s", 93784), ("120m", 7200),
    ])
    func `a time is read with its units`(text: String, seconds: Int) throws {
        #expect(try Duration(parsing: text) == .seconds(seconds))
        #expect(try Duration(parsing: Duration.seconds(seconds).text) == .seconds(seconds))
    }

    @Test(arguments: [
        "", "0", "0s", "0h0m", "-1", "1.5h", "h", "1h30", "30m1h", "1h1h", "1 h", "1w", "1H", "1h ", "٣s",
        "99999999999999999999", "9223372036854775807d", "9223372036854775807s1m", "1h9223372036854775807m",
    ])
    func `what is not a time is refused`(text: String) {
        #expect(throws: UnitRefusal.self) { try Duration(parsing: text) }
    }

    @Test(arguments: [
        ("2", 2000, "2"), ("1.5", 1500, "1.5"), ("0.01", 10, "0.01"), ("1.250", 1250, "1.25"),
        ("4096", 4_096_000, "4096"), ("10", 10000, "10"),
    ])
    func `a number of CPUs is read in thousandths`(text: String, thousandths: Int, shown: String) throws {
        let count = try CPUCount(text)
        #expect(count.thousandths == thousandths)
        #expect(count.description == shown)
    }

    @Test(arguments: [
        "", "0", "0.0", "0.009", "-1", "1.2345", "nan", "inf", "1e3", "4097", "two", "9223372036854775807",
    ])
    func `what is not a number of CPUs is refused`(text: String) {
        #expect(throws: UnitRefusal.self) { try CPUCount(text) }
    }

    @Test func `a refusal cannot act on the terminal`() {
        #expect(
            throws: UnitRefusal(
                "\"4\\x1b[2J\" is not a size (write a number and B, KB, MB, GB, KiB, MiB or GiB)")
        ) {
            try ByteSize("4\u{1b}[2J")
        }
    }

    @Test(arguments: [
        "A", "_", "a1", "ANTHROPIC_API_KEY", "LDX", "ENVIRONMENT", "DBUSX", "TMUXX", "PS41", "Ld_preload",
    ])
    func `an ordinary name may get in`(name: String) throws {
        #expect(try EnvironmentName.passable(name).string == name)
    }

    @Test(arguments: ["1A", "A-B", "A=B", "A B", "BASH_FUNC_x%%", "Ä", "A\u{0}", "A\n", "A\u{301}", "٣A"])
    func `a malformed name is refused`(name: String) {
        #expect(throws: EnvironmentRefusal.malformed(name)) { try EnvironmentName(name) }
    }

    @Test func `an empty or endless name is refused`() {
        #expect(throws: EnvironmentRefusal.empty) { try EnvironmentName("") }
        let long = String(repeating: "A", count: 257)
        #expect(throws: EnvironmentRefusal.malformed(long)) { try EnvironmentName(long) }
    }

    @Test(arguments: [
        "LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "DYLD_INSERT_LIBRARIES", "GCONV_PATH", "BASH_ENV", "ENV",
        "PYTHONSTARTUP", "NODE_OPTIONS", "PERL5OPT", "RUBYOPT", "JAVA_TOOL_OPTIONS", "GLIBC_TUNABLES",
    ])
    func `a name that makes programs load code is refused with that reason`(name: String) {
        #expect(throws: EnvironmentRefusal.refused(name, .loadsCode)) { try EnvironmentName.passable(name) }
    }

    @Test(arguments: [
        "SSH_AUTH_SOCK", "DBUS_SESSION_BUS_ADDRESS", "DOCKER_HOST", "XDG_RUNTIME_DIR", "DISPLAY",
        "WAYLAND_DISPLAY", "TMUX", "STY",
    ])
    func `a name of a door of the host is refused with that reason`(name: String) {
        #expect(throws: EnvironmentRefusal.refused(name, .opensDoor)) { try EnvironmentName.passable(name) }
    }

    @Test(arguments: ["BOX", "BOX_SESSION", "HTTPS_PROXY", "no_proxy"])
    func `a name that box sets is refused with that reason`(name: String) {
        #expect(throws: EnvironmentRefusal.refused(name, .setByBox)) { try EnvironmentName.passable(name) }
    }

    @Test(arguments: [
        ("netwrok", "network"), ("alow", "allow"), ("memroy", "memory"), ("Memory", "memory"),
        ("proc", "processes"), ("cpu", "cpus"), ("acccept_missing", "accept_missing"),
    ])
    func `a misspelt word has a nearest known one`(written: String, meant: String) {
        let known = ["network", "allow", "deny", "memory", "processes", "cpus", "accept_missing"]
        #expect(written.nearest(in: known) == meant)
    }

    @Test(arguments: ["", "x", "zzzzzz", "disk"])
    func `a word that is near to nothing has none`(written: String) {
        #expect(written.nearest(in: ["network", "memory", "processes"]) == nil)
        #expect(String(repeating: written + "!", count: 100_000).nearest(in: ["network", "memory"]) == nil)
    }
}

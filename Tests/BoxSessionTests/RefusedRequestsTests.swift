import BoxTypes
import Glibc
import Testing

@testable import BoxSession

/// One line of a log as the supervisor writes it, at a time of some minute.
func logged(
    _ event: String, _ host: String, _ port: Int = 443, reason: String? = "host", second: String = "01.000",
    _ more: String = ""
) -> String {
    let why = reason.map { #","reason":"\#($0)","detail":"d""# } ?? ""
    let head = #"{"time":"2026-02-03T10:22:\#(second)Z","session":"run-7f3k","event":"\#(event)""#
    return head + #","host":"\#(host)","port":\#(port),"via":"connect"\#(why)\#(more)}"#
}

/// What the logs of sessions say of refusals.
struct RefusedRequestsTests {
    private func read(_ lines: [String]) -> RefusedRequests {
        var requests = RefusedRequests()
        for line in lines { requests.take(Array(line.utf8)[...]) }
        return requests
    }

    /// `HOST:PORT REASON ×COUNT`, the newest first.
    private func summary(_ lines: [String]) -> [String] {
        read(lines).all.map { "\($0.host):\($0.port) \($0.reason.rawValue) ×\($0.count)" }
    }

    @Test func `equal refusals are one, with their number and the first and last time`() throws {
        let all = read([
            logged("net.deny", "a.b", second: "05.000"), logged("net.deny", "a.b", second: "01.000"),
            logged("net.deny", "a.b", second: "09.500", #","count":7"#),
        ]).all
        let one = try #require(all.first)
        #expect(all.count == 1 && one.count == 9)
        #expect(one.first == "2026-02-03T10:22:01.000Z" && one.last == "2026-02-03T10:22:09.500Z")
    }

    @Test func `ports and reasons are told apart, and the newest comes first`() {
        #expect(
            summary([
                logged("net.deny", "a.b", second: "03.000"),
                logged("net.deny", "a.b", 80, reason: "port", second: "04.000"),
                logged("net.deny", "a.b", reason: "name", second: "05.000"),
                logged("net.allow", "c.d", reason: nil, second: "06.000"),
                logged("net.close", "c.d", reason: nil, second: "06.000"),
            ]) == ["a.b:443 name ×1", "a.b:80 port ×1", "a.b:443 host ×1"])
    }

    @Test(arguments: [
        "", "{", "{}", "null", "not json", logged("net.deny", "a.b").dropLast(3).description,
        logged("net.deny", "a.b").replacing("2026-02-03T", with: "yesterday "),
        logged("net.deny", "a.b").replacing("\"reason\":\"host\"", with: "\"reason\":\"because\""),
        logged("net.deny", "a.b", 70000), logged("net.deny", "a.b", -1),
        logged("net.deny", "a.b").replacing("443", with: "\"443\""),
        logged("net.denial", "a.b"), logged("exec", "a.b"),
    ])
    func `a damaged line and one of something else count nothing`(line: String) {
        #expect(summary([line, logged("net.deny", "x.y")]) == ["x.y:443 host ×1"])
    }

    @Test func `a host that looks like an event is none`() {
        let trap = #"a\"}\n{\"event\":\"net.deny\""#
        #expect(summary([logged("policy.change", trap)]).isEmpty)
    }

    @Test func `what was let in after it had waited was not refused`() {
        let held = logged("net.deny", "a.b", second: "01.000", #","held":20"#)
        let allowed = logged("net.allow", "a.b", reason: nil, second: "15.000")
        #expect(summary([held, allowed]).isEmpty)
        // Of two that wait, one gets in.
        #expect(summary([held, held, allowed]) == ["a.b:443 host ×1"])
        #expect(summary([held, held, allowed, allowed]).isEmpty)
        // The line about those that came within the same second is written behind it.
        let more = logged("net.deny", "a.b", second: "16.000", #","held":20,"count":2"#)
        #expect(summary([held, allowed, allowed, allowed, more]).isEmpty)
        #expect(summary([held, allowed, allowed, more]) == ["a.b:443 host ×1"])
        // It had waited in vain, and another one got in.
        let late = logged("net.allow", "a.b", reason: nil, second: "40.000")
        #expect(summary([held, late]) == ["a.b:443 host ×1"])
        #expect(summary([logged("net.deny", "a.b"), allowed]) == ["a.b:443 host ×1"])
    }

    @Test func `a limit is one, and a rate that only slows down is not`() {
        let limit = #","limit":"connections","scope":"session","count":3"#
        #expect(
            summary([
                logged("net.limit", "a.b", reason: "rate", limit),
                logged("net.limit", "a.b", reason: "bytes", #","limit":"bytes_per_second""#),
            ]) == ["a.b:443 rate ×3"])
    }

    @Test func `a name that was looked up and then asked for is one wish`() {
        #expect(
            summary([
                logged("net.deny", "a.b", 0), logged("net.deny", "a.b", 80), logged("net.deny", "c.d", 0),
            ]) == ["a.b:80 host ×1", "c.d:0 host ×1"])
    }

    @Test func `how many hosts are asked for does not decide how much memory that takes`() {
        var requests = RefusedRequests()
        let count = 3 * RefusedRequests.most
        for number in 0..<count {
            let time = String(10_000 + 40_000 * number / count)
            let line = logged(
                "net.deny", "h\(number).example.com", second: "\(time.prefix(2)).\(time.suffix(3))")
            requests.take(Array(line.utf8)[...])
        }
        #expect(requests.all.count == RefusedRequests.most)
        #expect(requests.leftOut > 0)
        #expect(requests.all.contains { $0.host == "h\(count - 1).example.com" })
        #expect(!requests.all.contains { $0.host == "h0.example.com" })
    }

    // MARK: - Files

    private func withLog(_ bytes: [UInt8], _ body: (String) throws -> Void) throws {
        let path = "/tmp/box-log-\(UInt64.random(in: 0 ... .max))"
        let number = unsafe open(path, O_RDWR | O_CREAT | O_EXCL, 0o600)
        try #require(number >= 0)
        defer {
            close(number)
            unsafe unlink(path)
        }
        let wrote = unsafe bytes.withUnsafeBytes { unsafe write(number, $0.baseAddress, $0.count) }
        #expect(wrote == bytes.count)
        try body(path)
    }

    @Test func `a log is read in pieces, and a line that is not complete is passed over`() throws {
        // Lines of all lengths, so that pieces end everywhere in them; one that is too long; one without an end.
        var text = ""
        for number in 0..<4000 {
            text += logged(
                "net.deny", "a.b", second: "02.000",
                #","x":"\#(String(repeating: "y", count: number % 400))""#)
            text += "\n"
        }
        text +=
            logged(
                "net.deny", "long.b", 443,
                #","x":"\#(String(repeating: "y", count: RefusedRequests.longestLine))""#)
            + "\n"
        text += logged("net.deny", "after.b", second: "01.000") + "\n\n" + logged("net.deny", "half.b")
        try withLog(Array(text.utf8)) { path in
            var requests = RefusedRequests()
            try requests.add(log: path)
            #expect(requests.all.map(\.host) == ["a.b", "after.b"])
            #expect(requests.all.first?.count == 4000)
        }
    }

    @Test func `nothing but a file is read as a log`() throws {
        try withLog([]) { path in
            unsafe unlink(path)
            #expect(unsafe mkfifo(path, 0o600) == 0)
            var requests = RefusedRequests()
            #expect(throws: SessionError.self) { try requests.add(log: path) }
            unsafe unlink(path)
            #expect(unsafe symlink("/dev/zero", path) == 0)
            #expect(throws: SessionError.self) { try requests.add(log: path) }
        }
    }
}

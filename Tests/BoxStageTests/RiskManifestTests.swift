import BoxKernel
import BoxTypes
import Testing

@testable import BoxStage

/// Files of which only some keys run something.
struct RiskManifestTests {
    private func verdict(_ path: String, _ before: String?, _ after: String) throws -> Verdict {
        var one = RiskRulesTests.Case(path, .normal)
        one.content = Array(after.utf8)
        one.new = Node(kind: .file, size: after.utf8.count)
        if let before {
            one.kind = .modified
            one.before = Array(before.utf8)
            one.old = Node(kind: .file, size: before.utf8.count)
        }
        return try RiskRulesTests.verdict(one)
    }

    private static let plain =
        "{\"name\":\"a\",\"version\":\"1\",\"scripts\":{\"test\":\"x\",\"b\":[1,null,true]}}"

    @Test(arguments: [
        "{\"version\":\"2\",\"scripts\":{\"b\":[1,null,true],\"test\":\"x\"},\"name\":\"b\",\"dependencies\":{\"z\":\"1\"}}",
        "{ \"scripts\" : { \"test\" : \"\\u0078\", \"b\" : [ 1, null, true ] } }", plain + "\n",
    ])
    func `another version, order or dependency runs nothing new`(after: String) throws {
        #expect(try verdict("package.json", RiskManifestTests.plain, after) == .normal)
    }

    @Test(arguments: [
        "{\"scripts\":{\"test\":\"y\",\"b\":[1,null,true]}}", "{\"scripts\":{\"test\":\"x\"}}", "{}",
        "{\"scripts\":{\"test\":\"x\",\"b\":[1,null,false]}}",
        "{\"scripts\":{\"test\":\"x\",\"b\":[1,null]}}",
        "{\"\\u0073cripts\":{\"test\":\"y\",\"b\":[1,null,true]}}",
        "{\"scripts\":{\"test\":\"x\",\"b\":[1,null,true],\"preinstall\":\"z\"}}",
        "{\"scripts\":{\"test\":\"x\",\"b\":[1,null,true]},\"bin\":\"z\"}",
        "{\"scripts\":{\"test\":\"x\",\"b\":[1,null,true]},\"scripts\":{}}",
        "{\"scripts\":{\"test\":\"x\",\"b\":[1,null,true]},}", "not JSON", "", "[]", "\u{FEFF}{}",
        String(repeating: "[", count: 5000),
    ])
    func `another script, or a file that cannot be compared, is confirmed`(after: String) throws {
        #expect(try verdict("a/package.json", RiskManifestTests.plain, after).risk == .confirm)
    }

    @Test func `a new manifest is confirmed if it runs something`() throws {
        #expect(try verdict("package.json", nil, "{\"name\":\"a\"}") == .normal)
        let verdict = try verdict("package.json", nil, "{\"scripts\":{\"install\":\"x\"}}")
        #expect(verdict.risk == .confirm && verdict.reason.contains("\"scripts\""))
    }

    @Test func `a manifest that is too large or not known any more is confirmed`() throws {
        var one = RiskRulesTests.Case("package.json", .confirm).modified
        one.content = Array("{}".utf8)
        one.before = nil
        #expect(try RiskRulesTests.verdict(one).risk == .confirm)
        one.before = Array("{}".utf8)
        #expect(try RiskRulesTests.verdict(one) == .normal)
        one.new?.size = 5 << 20
        #expect(try RiskRulesTests.verdict(one).risk == .confirm)
        one.new?.size = 2
        one.content = nil
        #expect(try RiskRulesTests.verdict(one).risk == .confirm)
    }

    @Test func `of a cargo manifest only the lines that name what is built count`() throws {
        let before = "[package]\nname = \"a\"\nbuild = \"build.rs\"\n"
        #expect(try verdict("Cargo.toml", before, before + "[dependencies]\nserde = \"1\"\n") == .normal)
        #expect(try verdict("Cargo.toml", before, "[package]\nbuild =  \"build.rs\"\n") == .normal)
        #expect(try verdict("Cargo.toml", before, before + "[lib]\nproc-macro = true\n").risk == .confirm)
        #expect(try verdict("Cargo.toml", "", "[package]\n\"b\\u0075ild\" = \"x.rs\"\n").risk == .confirm)
        #expect(try verdict("Cargo.toml", before, "[package]\nbuild = \"x.rs\"\n").risk == .confirm)
    }

    @Test func `the names of manifests are known in every spelling`() throws {
        #expect(try verdict("PACKAGE.JSON", nil, "{\"scripts\":{\"a\":\"b\"}}").risk == .confirm)
        #expect(try verdict("composer.json", nil, "{\"scripts\":{\"a\":\"b\"}}").risk == .confirm)
        #expect(try verdict("package-lock.json", nil, "{\"scripts\":{\"a\":\"b\"}}") == .normal)
    }
}

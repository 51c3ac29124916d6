import BoxPlan
import Testing

@testable import BoxSession

@Suite struct `Secrets that box hands in` {
    private let secrets = KnownSecrets([
        .init("API_KEY", "sk-0123456789", isSecret: true),
        .init("API_KEY_2", "sk-0123456789-long", isSecret: true),
        .init("GH_TOKEN", "short", isSecret: true), .init("EDITOR", "/usr/bin/vim", isSecret: true),
        .init("OTHER_TOKEN", "of-the-policy", isSecret: false),
    ])

    @Test(arguments: [
        ("Authorization: Bearer sk-0123456789", "Authorization: Bearer [API_KEY]"),
        ("sk-0123456789-long sk-0123456789", "[API_KEY_2] [API_KEY]"),
        ("short /usr/bin/vim", "short /usr/bin/vim"),
        ("of-the-policy", "of-the-policy"), ("", ""),
    ])
    func `stand in the log by their names`(text: String, shown: String) {
        #expect(secrets.hidden(in: text) == shown)
    }
}

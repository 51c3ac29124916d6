internal import Crypto

extension Binary {
    /// A binary file's change in the form that `git apply` takes: the `index` line with both contents' full git names,
    /// and the new content. `nil` stands for no file.
    package static func patch(old: [UInt8]?, new: [UInt8]?) -> [UInt8] {
        let content = new ?? []
        var text = Array(
            "index \(gitName(old))..\(gitName(new))\nGIT binary patch\nliteral \(content.count)\n".utf8)
        appendLines(deflated(content), to: &text)
        text.append(UInt8.newline)
        return text
    }

    /// The name that git gives to a content; zeros for none.
    private static func gitName(_ content: [UInt8]?) -> String {
        guard let content else { return String(repeating: "0", count: 40) }
        var hash = Insecure.SHA1()
        hash.update(data: Array("blob \(content.count)\0".utf8))
        hash.update(data: content)
        return hexadecimal(hash.finalize())
    }

    /// The SHA-256 of a content, in hexadecimal digits.
    package static func digest(_ content: some Collection<UInt8>) -> String {
        hexadecimal(SHA256.hash(data: Array(content)))
    }

    /// Bytes as hexadecimal digits.
    package static func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        for byte in bytes { text += [digits[Int(byte >> 4)], digits[Int(byte & 15)]] }
        return String(decoding: text, as: UTF8.self)
    }

    /// A zlib stream (RFC 1950, 1951) of stored blocks: the format wants one, not that it is small.
    private static func deflated(_ content: [UInt8]) -> [UInt8] {
        var stream: [UInt8] = [0x78, 0x01]
        var at = 0
        repeat {
            let end = min(at + 65535, content.count)
            let length = UInt16(end - at)
            stream.append(end == content.count ? 1 : 0)
            for half in [length, ~length] { stream += [UInt8(half & 0xFF), UInt8(half >> 8)] }
            stream += content[at..<end]
            at = end
        } while at < content.count
        var (low, high): (UInt32, UInt32) = (1, 0)
        for byte in content {
            low = (low + UInt32(byte)) % 65521
            high = (high + low) % 65521
        }
        let sum = high << 16 | low
        return stream + [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: sum >> UInt32($0)) }
    }

    private static let alphabet = Array(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~".utf8)

    /// git's base 85: a letter for the number of bytes, up to 52, then five digits for each four of them.
    private static func appendLines(_ bytes: [UInt8], to text: inout [UInt8]) {
        var at = 0
        while at < bytes.count {
            let count = min(52, bytes.count - at)
            text.append(
                count <= 26 ? UInt8(ascii: "A") + UInt8(count - 1) : UInt8(ascii: "a") + UInt8(count - 27))
            for group in stride(from: at, to: at + count, by: 4) {
                var word: UInt32 = 0
                for offset in 0..<4 {
                    let index = group + offset
                    word = word << 8 | (index < at + count ? UInt32(bytes[index]) : 0)
                }
                var digits: [UInt8] = []
                for _ in 0..<5 {
                    digits.append(alphabet[Int(word % 85)])
                    word /= 85
                }
                text += digits.reversed()
            }
            text.append(UInt8.newline)
            at += count
        }
    }
}

/// The SHA-256 of a content that comes in pieces.
package struct RunningDigest {
    private var hash = SHA256()

    package init() {}

    package mutating func add(_ bytes: [UInt8]) { hash.update(data: bytes) }

    /// The digest in hexadecimal digits.
    package func finish() -> String { Binary.hexadecimal(hash.finalize()) }
}

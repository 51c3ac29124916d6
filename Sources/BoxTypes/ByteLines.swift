/// The lines of a text of the kernel as bytes: tables such as `/proc/self/mountinfo` can have thousands, of which few
/// are wanted, and characters cost many times as much as bytes.
package struct ByteLines: Sendable {
    private let bytes: [UInt8]

    package init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// The lines that hold this text, each as text.
    package func holding(_ text: String) -> [Substring] {
        let mark = Array(text.utf8)
        guard let first = mark.first else { return [] }
        return bytes.split(separator: UInt8(ascii: "\n")).filter { line in
            line.indices.contains { line[$0] == first && line[$0...].starts(with: mark) }
        }.map { Substring(decoding: $0, as: UTF8.self) }
    }
}

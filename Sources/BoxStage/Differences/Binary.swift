/// Contents that are not shown as lines.
package enum Binary {
    /// How much of a file's beginning tells.
    package static let prefix = 8000

    /// Whether a file that begins so is binary: there is a NUL in its first 8000 bytes, as git has it.
    package static func isBinary(_ start: some Collection<UInt8>) -> Bool { start.prefix(prefix).contains(0) }
}

internal import BoxTypes

// Names that read otherwise than they are, or that other programs and systems take for something else.
extension RiskRules {
    /// What is wrong with a new name.
    func name(_ change: Change, _ path: RiskPath, _ content: RiskContent) throws(StageError) -> String? {
        guard change.new != nil, change.old == nil else { return nil }
        for (bytes, name) in zip(path.path.components, path.names) {
            if let reason = RiskRules.oddity(bytes, name) { return reason }
        }
        if let twin = try content.twin(change) {
            return "on systems that do not tell case it is the same as \(twin.escaped)"
        }
        return nil
    }

    private static func oddity(_ bytes: ArraySlice<UInt8>, _ name: FoldedName) -> String? {
        guard let text = String(validating: bytes, as: UTF8.self) else { return "its name is not UTF-8" }
        if text != text.escapedForTerminal { return "its name has control or invisible characters" }
        if bytes.first == UInt8(ascii: "-") { return "commands take a name that begins with - for an option" }
        if bytes.first == UInt8(ascii: " ") || bytes.last == UInt8(ascii: " ") {
            return "its name begins or ends with a space, which is not seen"
        }
        if bytes.last == UInt8(ascii: ".") { return "its name ends with a dot, which Windows leaves away" }
        if bytes.contains(UInt8(ascii: "\\")) {
            return "its name has a \\, which Windows takes for a directory"
        }
        if name.isWindowsDevice { return "Windows takes its name for a device" }
        if name.isShortName { return "Windows may take its name for that of another file" }
        return nil
    }
}

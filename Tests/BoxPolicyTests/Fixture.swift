import Glibc

/// The files in `Tests/Fixtures/policies`.
enum Fixture {
    struct Missing: Error { let path: String }

    private static let folder =
        #filePath.split(separator: "/").dropLast(2).reduce("") { "\($0)/\($1)" } + "/Fixtures/policies/"

    /// The names of the policy files in a folder, sorted.
    static func names(in folder: String) throws -> [String] {
        guard let directory = unsafe opendir(Fixture.folder + folder) else { throw Missing(path: folder) }
        defer { _ = unsafe closedir(directory) }
        var names: [String] = []
        while let entry = unsafe readdir(directory) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                unsafe pointer.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            if name.hasSuffix(".toml") { names.append(name) }
        }
        return names.sorted()
    }

    /// A file's bytes.
    static func read(_ path: String) throws -> [UInt8] {
        guard let file = unsafe fopen(folder + path, "r") else { throw Missing(path: path) }
        defer { _ = unsafe fclose(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = unsafe fread(&buffer, 1, buffer.count, file)
            guard count > 0 else { return bytes }
            bytes += buffer[..<count]
        }
    }

    /// A file's text.
    static func text(_ path: String) throws -> String { String(decoding: try read(path), as: UTF8.self) }
}

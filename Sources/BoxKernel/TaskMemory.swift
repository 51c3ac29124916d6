internal import CLinux
internal import Glibc

/// The memory of a task, by `/proc`: nil where the kernel does not let this process read it.
package struct TaskMemory: ~Copyable {
    /// The task that it was opened for.
    package let task: CInt
    private let file: Descriptor
    /// The longest path that the kernel takes, with its NUL.
    private static let longest = 4096

    package init?(_ task: CInt) {
        let number = unsafe withCName("/proc/\(task)/mem".utf8) { unsafe open($0, O_RDONLY | O_CLOEXEC) }
        if number < 0 { return nil }
        self.task = task
        file = Descriptor(owning: number)
    }

    /// The text at an address up to its NUL; nil if it is not readable, or longer than a path can be. When the task has
    /// ended, or executes another program, nothing is readable any more.
    package borrowing func text(at address: UInt64) -> [UInt8]? {
        guard let start = Int(exactly: address) else { return nil }
        var text: [UInt8] = []
        // Most paths are short. A page at a time: the one behind the text need not be there.
        var wanted = 256
        while text.count < TaskMemory.longest {
            let piece = read(start + text.count, wanted)
            if piece.isEmpty { return nil }
            if let end = piece.firstIndex(of: 0) {
                text += piece[..<end]
                return text.count < TaskMemory.longest ? text : nil
            }
            text += piece
            wanted = TaskMemory.longest - 256
        }
        return nil
    }

    /// The bounds of a list of texts.
    package struct WordLimits: Sendable {
        /// Texts, bytes of one, and bytes of all together.
        package let words: Int
        package let one: Int
        package let all: Int
        package init(words: Int, one: Int, all: Int) {
            self.words = words
            self.one = one
            self.all = all
        }
    }

    /// The texts of a list of addresses that ends with a zero, as execve(2) takes them, as far as the limits go and they
    /// can be read; a text that is cut ends with `…`. `omitted` counts those that are left out, 10,000 at most.
    package borrowing func words(
        at address: UInt64, _ limits: WordLimits
    ) -> (words: [[UInt8]], omitted: Int) {
        guard address != 0, let start = Int(exactly: address) else { return ([], 0) }
        var (words, omitted, left): ([[UInt8]], Int, Int) = ([], 0, limits.all)
        var chunk = Chunk()
        for place in pointers(from: start) {
            guard words.count < limits.words, left > 0,
                let word = word(at: place, min(limits.one, left), &chunk)
            else {
                omitted += 1
                continue
            }
            left -= word.count
            words.append(word)
        }
        return (words, omitted)
    }

    /// The addresses up to the zero.
    private borrowing func pointers(from start: Int) -> [Int] {
        var found: [Int] = []
        var at = start
        while found.count < 10_000 {
            let bytes = read(at, 512)
            for offset in stride(from: 0, to: bytes.count - 7, by: 8) {
                let value = (0..<8).reduce(UInt64(0)) { $0 | UInt64(bytes[offset + $1]) << (8 * UInt64($1)) }
                guard value != 0, let place = Int(exactly: value) else { return found }
                found.append(place)
            }
            guard bytes.count >= 8 else { return found }
            at += bytes.count & ~7
        }
        return found
    }

    /// What was read last: most texts of a list lie one after the other.
    private struct Chunk {
        var start = 0
        var bytes: [UInt8] = []
        func rest(from place: Int) -> ArraySlice<UInt8>? {
            guard place >= start, place - start < bytes.count else { return nil }
            return bytes[(place - start)...]
        }
    }

    private borrowing func word(at place: Int, _ longest: Int, _ chunk: inout Chunk) -> [UInt8]? {
        if let rest = chunk.rest(from: place), let end = rest.firstIndex(of: 0),
            end - rest.startIndex <= longest
        {
            return Array(rest[..<end])
        }
        chunk = Chunk(start: place, bytes: read(place, max(1024, longest + 1)))
        // The page behind need not be there.
        guard !chunk.bytes.isEmpty else { return nil }
        let word = chunk.bytes.prefix(while: { $0 != 0 })
        return word.count <= longest ? Array(word) : Array(word.prefix(longest)) + Array("…".utf8)
    }

    private borrowing func read(_ place: Int, _ count: Int) -> [UInt8] {
        unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            filled = max(unsafe pread(file.number, buffer.baseAddress, count, place), 0)
        }
    }
}

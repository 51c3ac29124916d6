/// The lines of two texts as numbers: lines that are the same have the same one.
struct NumberedLines {
    /// Where each line begins, and at last where the text ends.
    let oldStarts: [Int32]
    let newStarts: [Int32]
    let oldNumbers: [UInt32]
    let newNumbers: [UInt32]
    /// How many numbers there are.
    let distinct: Int

    init(_ old: ArraySlice<UInt8>, _ new: ArraySlice<UInt8>) {
        oldStarts = NumberedLines.starts(old)
        newStarts = NumberedLines.starts(new)
        var table = LineTable(lines: oldStarts.count + newStarts.count)
        oldNumbers = table.numbers(old, oldStarts, isNew: false, others: old)
        newNumbers = table.numbers(new, newStarts, isNew: true, others: old)
        distinct = table.count
    }

    private static func starts(_ text: ArraySlice<UInt8>) -> [Int32] {
        var starts: [Int32] = [0]
        starts.reserveCapacity(text.lineCount + 1)
        var at: Int32 = 0
        for byte in text {
            at += 1
            if byte == UInt8.newline { starts.append(at) }
        }
        // The last line need not end with a newline.
        if starts.last != at { starts.append(at) }
        return starts
    }
}

/// Finds lines that were there before, by a hash with secret factors: who writes the texts cannot make them collide.
private struct LineTable {
    /// Numbers plus one; 0 is a free place. The size is a power of two.
    private var places: [UInt32]
    private let mask: Int
    private var hashes: [UInt64] = []
    /// Where each number's line was seen first.
    private var firsts: [(start: Int32, end: Int32, isNew: Bool)] = []
    private let secret = UInt64.random(in: .min ... .max)
    private let factor = UInt64.random(in: .min ... .max) | 1

    var count: Int { firsts.count }

    init(lines: Int) {
        var size = 16
        while size < lines * 2 { size *= 2 }
        places = [UInt32](repeating: 0, count: size)
        mask = size - 1
    }

    /// The numbers of a text's lines. `others` is the text that was numbered first.
    mutating func numbers(
        _ text: ArraySlice<UInt8>, _ starts: [Int32], isNew: Bool, others: ArraySlice<UInt8>
    ) -> [UInt32] {
        var numbers: [UInt32] = []
        numbers.reserveCapacity(starts.count)
        // Sound: all offsets are those of `starts`, which were made from these bytes.
        unsafe text.withUnsafeBytes { text in
            unsafe others.withUnsafeBytes { others in
                for index in 0..<max(0, starts.count - 1) {
                    let line = unsafe UnsafeRawBufferPointer(
                        rebasing: text[Int(starts[index])..<Int(starts[index + 1])])
                    let place = (starts[index], starts[index + 1], isNew)
                    unsafe numbers.append(number(line, place, text, others))
                }
            }
        }
        return numbers
    }

    private mutating func number(
        _ line: UnsafeRawBufferPointer, _ place: (Int32, Int32, Bool), _ text: UnsafeRawBufferPointer,
        _ others: UnsafeRawBufferPointer
    ) -> UInt32 {
        let hash = unsafe hash(line)
        var at = Int(truncatingIfNeeded: hash) & mask
        while places[at] != 0 {
            let number = Int(places[at] - 1)
            let first = firsts[number]
            if hashes[number] == hash {
                let source = unsafe first.isNew ? text : others
                let seen = unsafe UnsafeRawBufferPointer(rebasing: source[Int(first.start)..<Int(first.end)])
                if unsafe seen.elementsEqual(line) { return UInt32(number) }
            }
            at = (at + 1) & mask
        }
        firsts.append((place.0, place.1, place.2))
        hashes.append(hash)
        places[at] = UInt32(firsts.count)
        return UInt32(firsts.count - 1)
    }

    private func hash(_ line: UnsafeRawBufferPointer) -> UInt64 {
        var hash = secret ^ UInt64(line.count)
        var at = 0
        while at + 8 <= line.count {
            hash = mix(hash, unsafe line.loadUnaligned(fromByteOffset: at, as: UInt64.self))
            at += 8
        }
        var last: UInt64 = 0
        while at < line.count {
            last = last << 8 | UInt64(unsafe line[at])
            at += 1
        }
        return mix(hash, last)
    }

    @inline(__always)
    private func mix(_ hash: UInt64, _ word: UInt64) -> UInt64 {
        let product = (hash ^ word).multipliedFullWidth(by: factor ^ hash &+ word)
        return product.high ^ product.low ^ secret
    }
}

internal import BoxTypes

/// Finds records of a base file by path: at once where one asks in the order of paths, else after reading a few.
final class BaseIndex {
    private let path: String
    /// In copy mode: there is a record for every path that was copied.
    let isRequired: Bool
    private var reader: BaseReaderBox?
    /// The position before every so many records, with the first path after it.
    private var marks: [(first: BytePath, position: BaseReader.Position)] = []
    private static let spacing = 64

    private final class BaseReaderBox {
        var reader: BaseReader
        init(_ reader: consuming BaseReader) { self.reader = reader }
    }

    init(_ path: String, isRequired: Bool) {
        self.path = path
        self.isRequired = isRequired
    }

    /// The record of a path; nil if there is none.
    func record(_ path: BytePath) throws(StageError) -> BaseRecord? {
        let box = try opened()
        // Where the reader stands is right if the path is not before it and not far behind it.
        let mark = marks.partitioningIndex { $0.first > path } - 1
        guard mark >= 0 else { return nil }
        let target = marks[mark].position
        if let next = try box.reader.peek(), next.path <= path, box.reader.position.offset > target.offset {
        } else {
            try box.reader.move(to: target)
        }
        while let next = try box.reader.peek(), next.path <= path {
            if next.path == path { return next }
            box.reader.skip()
        }
        return nil
    }

    /// Opens the file and reads it once.
    private func opened() throws(StageError) -> BaseReaderBox {
        if let reader { return reader }
        var scan = try BaseReader(path, isRequired: isRequired)
        var count = 0
        while true {
            let position = scan.position
            guard let record = try scan.next() else { break }
            if count % BaseIndex.spacing == 0 { marks.append((record.path, position)) }
            count += 1
        }
        let box = BaseReaderBox(scan)
        if let first = marks.first { try box.reader.move(to: first.position) }
        reader = box
        return box
    }
}

extension Array {
    /// The index of the first element that belongs to the second part of an array in two parts.
    fileprivate func partitioningIndex(_ isSecond: (Element) -> Bool) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if isSecond(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}

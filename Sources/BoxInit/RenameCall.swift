internal import BoxKernel
internal import BoxPlan
internal import BoxTypes
internal import CLinux
internal import Glibc

/// A rename that waits for an answer: what its registers say.
struct RenameCall {
    private static let numbers = [BOX_SYS_RENAME, BOX_SYS_RENAMEAT, BOX_SYS_RENAMEAT2]

    /// One of its two paths: where it begins, and where its text lies in the task's memory.
    struct Argument {
        let directory: CInt
        let address: UInt64
    }

    let call: WaitingCall
    let source: Argument
    let target: Argument
    let flags: UInt64

    /// Nil for any other call.
    init?(_ call: WaitingCall) {
        let numbers = RenameCall.numbers
        guard let kind = numbers.firstIndex(of: call.number) else { return nil }
        self.call = call
        if kind == 0 {
            source = Argument(directory: AT_FDCWD, address: call.arguments[0])
            target = Argument(directory: AT_FDCWD, address: call.arguments[1])
        } else {
            // The kernel takes the lower half of the register.
            source = Argument(
                directory: CInt(truncatingIfNeeded: call.arguments[0]), address: call.arguments[1])
            target = Argument(
                directory: CInt(truncatingIfNeeded: call.arguments[2]), address: call.arguments[3])
        }
        flags = kind == 2 ? call.arguments[4] & 0xFFFF_FFFF : 0
    }

    var exchanges: Bool { flags == RenameFlags.exchange }
}

/// The flags of renameat2(2), which Swift's Glibc module lacks.
enum RenameFlags {
    static let noReplace: UInt64 = 1
    static let exchange: UInt64 = 2
}

/// A path as a task gave it, as this process finds it: from the task's own root, working directory or descriptor.
struct TaskPath {
    /// The directory that holds the name, by `/proc`.
    let directory: [UInt8]
    /// The last component, without slashes.
    let name: [UInt8]

    private static let slash = UInt8(ascii: "/")

    /// Nil for a path that no rename takes: empty, or one that ends in `.` or `..`.
    init?(_ text: [UInt8], _ argument: RenameCall.Argument, task: CInt) {
        guard let end = text.lastIndex(where: { $0 != TaskPath.slash }) else { return nil }
        let path = text[...end]
        let start = path.lastIndex(of: TaskPath.slash).map { $0 + 1 } ?? 0
        let name = path[start...]
        guard BytePath.isName(name) else { return nil }
        self.name = Array(name)
        let place: String
        if path.first == TaskPath.slash {
            place = "/proc/\(task)/root/"
        } else if argument.directory == AT_FDCWD {
            place = "/proc/\(task)/cwd/"
        } else {
            place = "/proc/\(task)/fd/\(argument.directory)/"
        }
        directory = Array(place.utf8) + path[..<start]
    }

    /// What is there; nil if nothing is, or it cannot be looked at.
    var node: Node? { Node.at(directory + name) }

    /// The directory that holds the name, only as a place; nil if it is none that this process may enter.
    func openDirectory() -> Tree? {
        let number = unsafe withCName(directory) { text in
            unsafe openat(AT_FDCWD, text, BOX_O_PATH | BOX_O_DIRECTORY | BOX_O_CLOEXEC)
        }
        return number < 0 ? nil : Tree(Descriptor(owning: number))
    }
}

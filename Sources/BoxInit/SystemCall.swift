internal import BoxKernel
internal import BoxPlan
internal import CLinux
internal import Glibc

/// A system call by its name, as a program may make it that no library stands in the way of.
enum SystemCall {
    /// An argument as it goes into a register.
    enum Argument {
        case number(Int)
        case text(String)
        /// A buffer with these bytes; what the kernel writes there is lost.
        case bytes([UInt8])
    }

    /// Makes the call; `succeeded` or the errno's name.
    static func word(_ name: String, _ arguments: Argument...) throws(Broken) -> String {
        try answer(name, arguments).word
    }

    /// Makes the call; its result, or -1 and the errno.
    static func answer(_ name: String, _ arguments: [Argument]) throws(Broken) -> Answer {
        guard case .number(let number)? = SyscallTable.entry(name, on: .native) else {
            throw Broken("\(name) is no call of this processor")
        }
        return answer(number: Int(number), arguments)
    }

    /// The same by number.
    static func answer(number: Int, _ arguments: [Argument]) -> Answer {
        var registers: [Int] = []
        // Never freed: a call may keep the address, and the process ends soon.
        for argument in arguments {
            switch argument {
            case .number(let value): registers.append(value)
            case .text(let text): registers.append(unsafe Int(bitPattern: strdup(text)))
            case .bytes(let bytes):
                let room = UnsafeMutableRawBufferPointer.allocate(
                    byteCount: max(1, bytes.count), alignment: 16)
                unsafe room.copyBytes(from: bytes)
                registers.append(Int(bitPattern: room.baseAddress))
            }
        }
        registers += [Int](repeating: 0, count: 6)
        let result = box_syscall(
            number, registers[0], registers[1], registers[2], registers[3], registers[4], registers[5])
        return Answer(result: result, code: result < 0 ? errno : 0)
    }

    struct Answer {
        let result: Int
        let code: CInt
        var word: String { result >= 0 ? "succeeded" : errorName(code) }
    }
}

/// Integers as the kernel's structures hold them.
extension [UInt8] {
    /// The bytes of integers, one after the other, least significant first.
    init<Number: FixedWidthInteger>(little numbers: Number...) {
        self = numbers.flatMap { number in
            (0..<Number.bitWidth / 8).map { UInt8(truncatingIfNeeded: number >> Number($0 * 8)) }
        }
    }
}

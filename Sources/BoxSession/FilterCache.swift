internal import BoxKernel
package import BoxPlan
package import BoxTypes
internal import Crypto
internal import Glibc
internal import Profiles

/// The compiled system call filter of a profile. Compiling takes longer than everything else in a start, so the
/// program is kept, by the digest of all it depends on, in a private directory, and checked when it is read.
package enum FilterCache {
    /// The program for a profile on this kernel; compiled if it is not there, or not as it was written. `listens`: the
    /// calls that the sandbox's first process is asked about.
    package static func program(
        profile name: String, listens: ListenedCalls, kernel: HostFacts.Kernel, home: AbsolutePath,
        state: AbsolutePath
    ) throws(SessionError) -> [UInt8] {
        // A shipped profile is part of this build, so its name stands for its text.
        let isShipped = Shipped.syscallProfileNames.contains(name)
        let source = isShipped ? nil : try source(of: name, home: home)
        let directory = try StateDirectory.make("cache/seccomp", in: state)
        let variant = "\(source.map(digest) ?? name)\(listens.names.map { "-" + $0 }.joined())"
        let path = "\(directory)/\(variant)-\(kernel.major).\(kernel.minor)-\(build).bpf"
        if let program = read(path) { return program }
        let text: [UInt8]
        if let source { text = source } else { text = try self.source(of: name, home: home) }
        let program = try compile(text, name: name, listens: listens, kernel: kernel)
        try write(program, to: path)
        return program
    }

    /// Which build of box this is: another one may compile the same profile differently.
    private static var build: String {
        guard let status = try? FileStatus.of("/proc/self/exe", following: true) else { return "unknown" }
        return "\(status.size)-\(status.modified)"
    }

    private static func digest(_ source: [UInt8]) -> String {
        SHA256.hash(data: source).map(hexadecimal).joined()
    }

    /// The filter of a profile, resolved for this machine; for `box plan`, `box doctor` and the cache.
    package static func compile(
        _ source: [UInt8], name: String, listens: ListenedCalls, kernel: HostFacts.Kernel
    ) throws(SessionError) -> [UInt8] {
        let step = "load the system call profile"
        let filter: SyscallFilter
        do throws(SyscallProfileError) {
            let context = SyscallContext(
                architecture: .native, kernelMajor: kernel.major, kernelMinor: kernel.minor)
            let plain = try SyscallProfile(json: source, name: name).filter(for: context)
            filter = listens.isEmpty ? plain : plain.listening(to: listens, on: .native)
        } catch { throw SessionError(step: step, reason: "\(error)") }
        do throws(KernelError) { return try SeccompFilter.compile(filter) } catch {
            throw SessionError(step: step, error)
        }
    }

    /// What a profile says on this machine, before it is compiled.
    package static func filter(_ name: String, home: AbsolutePath) throws(SessionError) -> SyscallFilter {
        let source = try source(of: name, home: home)
        do throws(SyscallProfileError) {
            let kernel = HostFacts.kernel()
            return try SyscallProfile(json: source, name: name).filter(
                for: SyscallContext(kernelMajor: kernel.major, kernelMinor: kernel.minor))
        } catch {
            throw SessionError(
                step: "load the system call profile \(name.escapedForTerminal)", reason: "\(error)")
        }
    }

    /// The profile's text: a shipped one by name, or a file of the user's.
    package static func source(of name: String, home: AbsolutePath) throws(SessionError) -> [UInt8] {
        if let shipped = Shipped.syscallProfile(name) { return shipped }
        let step = "load the system call profile \(name.escapedForTerminal)"
        guard name.contains("/") else {
            let known = Shipped.syscallProfileNames.joined(separator: ", ")
            throw SessionError(
                step: step, reason: "there is none of that name. Known: \(known), or a path to a file")
        }
        let path = name.hasPrefix("~/") ? home.string + name.dropFirst(1) : name
        do throws(KernelError) {
            let file = try Descriptor.open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY)
            if try FileStatus.of(file.number).kind == .file {
                return try file.readAll(limit: SyscallProfile.longest)
            }
        } catch { throw SessionError(step: step, error) }
        throw SessionError(step: step, reason: "it is not a regular file")
    }

    private static func hexadecimal(_ byte: UInt8) -> String {
        String(byte >> 4, radix: 16) + String(byte & 15, radix: 16)
    }

    /// A file that is not exactly what was written here is as good as none.
    private static func read(_ path: String) -> [UInt8]? {
        guard let file = try? Descriptor.open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK),
            let status = try? FileStatus.of(file.number), status.kind == .file, status.uid == geteuid(),
            status.mode & 0o077 == 0, let bytes = try? file.readAll(limit: 1 << 16), bytes.count > 8
        else { return nil }
        let program = Array(bytes.dropFirst(8))
        return checksum(program).elementsEqual(bytes.prefix(8)) ? program : nil
    }

    private static func write(_ program: [UInt8], to path: String) throws(SessionError) {
        let temporary = "\(path).\(getpid())"
        do throws(KernelError) {
            let file = try Descriptor.open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode: 0o600)
            try file.write(all: checksum(program) + program)
            try check("rename", unsafe rename(temporary, path), path)
        } catch { throw SessionError(step: "keep the compiled system call filter", error) }
    }

    /// FNV-1a, against a file that was cut or damaged; who could write there on purpose is the user.
    private static func checksum(_ bytes: [UInt8]) -> [UInt8] {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return (0..<8).map { UInt8(truncatingIfNeeded: hash >> (8 * UInt64($0))) }
    }
}

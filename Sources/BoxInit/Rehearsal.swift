internal import BoxKernel
internal import BoxPlan
internal import BoxTypes
internal import CLinux
internal import Glibc

/// The entry of `box __prove --rehearse [UID GID]`: makes what every sandbox needs from the kernel, in fresh
/// namespaces in which it was started, and reports the first thing that is refused.
enum Rehearsal {
    /// Writes `STEP ERRNO` to descriptor 3, or nothing if all went well.
    static func run(_ words: ArraySlice<String>) -> Never {
        var step = RehearsalStep.identity
        do throws(KernelError) {
            if words.count == 2, let uid = words.first.flatMap({ UInt32($0) }),
                let gid = words.last.flatMap({ UInt32($0) })
            {
                try Processes.become(uid: uid, gid: gid)
            }
            step = .mount
            try Mounts.makePrivate()
            let root = try Mounts.filesystem(
                "tmpfs", options: [("mode", "755")], attributes: [.noSUID, .noDevices])
            // Attached where nobody looks: this namespace ends with the process.
            try Mounts.attach(root, over: "/")
            step = .proc
            _ = try Mounts.filesystem(
                "proc", options: [("hidepid", "2")], attributes: [.noSUID, .noDevices, .noExec])
            step = .terminals
            _ = try Mounts.filesystem(
                "devpts", options: [("newinstance", ""), ("ptmxmode", "0666")],
                attributes: [.noSUID, .noExec])
            step = .queues
            _ = try Mounts.filesystem("mqueue", options: [], attributes: [.noSUID, .noDevices, .noExec])
            step = .network
            try RouteSocket().bringUpLoopback()
            step = .privileges
            try Capabilities.dropAll()
            try ProcessAttributes.setNoNewPrivileges()
        } catch {
            let line = Array("\(step.rawValue) \(error.code)".utf8)
            let wrote = unsafe line.withUnsafeBytes { raw in unsafe write(3, raw.baseAddress, raw.count) }
            _exit(wrote == line.count ? 1 : 2)
        }
        _exit(0)
    }
}

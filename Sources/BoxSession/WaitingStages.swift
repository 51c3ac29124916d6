internal import BoxKernel
package import BoxStage
internal import Glibc

/// Which sessions of a project have changes that wait to be taken: `waiting/DEVICE-INODE/SESSION`, an empty file each.
///
/// Only a hint that saves looking through all sessions; what is true is said by the stages.
package enum WaitingStages {
    /// Notes a stage, or that it waits no more.
    package static func set(_ stage: Stage, waits: Bool) throws(StageError) {
        // STATE/sessions/NAME/stage
        let parts = stage.directory.split(separator: "/").dropLast(3)
        let state = "/" + parts.joined(separator: "/")
        guard let root = stage.roots.first else { return }
        let directory = place(state, root.device, root.inode)
        let path = directory + "/" + stage.session
        guard waits else {
            _ = unsafe unlink(path)
            return
        }
        _ = unsafe mkdir(state + "/waiting", 0o700)
        _ = unsafe mkdir(directory, 0o700)
        let file = unsafe open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else {
            throw StageError(
                "note that changes wait", KernelError(call: "open", code: errno, subject: path))
        }
        close(file)
    }

    /// The sessions that wait, as far as their stages are there and nobody works in them.
    package static func sessions(device: UInt64, inode: UInt64, state: String) -> [String] {
        let directory = place(state, device, inode)
        return DirectoryListing.names(of: directory).sorted().filter { name in
            let session = "\(state)/sessions/\(name)"
            // One that runs is noted, in case it is killed.
            if unsafe access(session + "/stage/stage.json", F_OK) == 0 { return !SessionLock.isHeld(session) }
            _ = unsafe unlink(directory + "/" + name)
            return false
        }
    }

    /// Those among them that belong to a project's path, as commands find them. What has its inode may be another directory,
    /// which was removed.
    package static func sessions(
        device: UInt64, inode: UInt64, state: String, project: String
    ) -> [String] {
        sessions(device: device, inode: inode, state: state).filter {
            SessionRecord("\(state)/sessions/\($0)")?.project == project
        }
    }

    private static func place(_ state: String, _ device: UInt64, _ inode: UInt64) -> String {
        "\(state)/waiting/\(device)-\(inode)"
    }
}

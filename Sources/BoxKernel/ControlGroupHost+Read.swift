internal import BoxTypes
internal import Glibc

extension ControlGroupHost {
    /// Reads what this host says about box's own group and those above it.
    static func read() throws(KernelError) -> ControlGroupHost {
        let location = Location(
            membership: try text("/proc/self/cgroup"), mounts: try text("/proc/self/mountinfo"))
        var groups: [Group] = []
        for path in location.chain { groups.append(try group(path)) }
        return ControlGroupHost(location: location, groups: groups)
    }

    private static func group(_ path: AbsolutePath) throws(KernelError) -> Group {
        let controllers = try words(path.appending(literal: "cgroup.controllers"))
        let handedDown = try words(path.appending(literal: "cgroup.subtree_control"))
        var type: String?
        do throws(KernelError) {
            let line = try text(path.appending(literal: "cgroup.type").string)
            type = String(line.prefix { $0 != "\n" })
        } catch {
            // Only the true root lacks the file.
            guard error.code == ENOENT else { throw error }
        }
        let isOfUse = ControlGroupController.allCases.contains { controllers.contains($0.rawValue) }
        let canCreate = isOfUse && isWritable(path)
        return Group(
            path: path, controllers: controllers, handedDown: handedDown, type: type,
            // Who is in a group that box can't use doesn't matter.
            processes: canCreate ? try processes(path) : .others, canCreate: canCreate,
            canMove: canCreate && isWritable(path.appending(literal: "cgroup.procs")),
            canEnable: canCreate && isWritable(path.appending(literal: "cgroup.subtree_control")))
    }

    private static func processes(_ path: AbsolutePath) throws(KernelError) -> Group.Processes {
        let list: Set<String>
        do throws(KernelError) { list = try words(path.appending(literal: "cgroup.procs")) } catch {
            // A threaded group refuses the question; it can't be used either.
            guard error.code == EOPNOTSUPP else { throw error }
            return .others
        }
        if list.isEmpty { return .none }
        return list == [String(getpid())] ? .onlySelf : .others
    }

    private static func isWritable(_ path: AbsolutePath) -> Bool {
        unsafe faccessat(AT_FDCWD, path.string, W_OK, AT_EACCESS) == 0
    }

    private static func words(_ path: AbsolutePath) throws(KernelError) -> Set<String> {
        Set(try text(path.string).split(whereSeparator: \.isWhitespace).map(String.init))
    }

    private static func text(_ path: String) throws(KernelError) -> String {
        String(decoding: try Descriptor.open(path, O_RDONLY).readAll(limit: 1 << 22), as: UTF8.self)
    }
}

import BoxKernel
import BoxTypes
import CLinux
import Glibc
import Testing

struct ControlGroupSupportTests {
    /// What is expected of an invented host: the place as text, and how each missing one's reason begins.
    struct Expectation: Sendable, CustomTestStringConvertible {
        let host: String
        let place: String
        var missing: [ControlGroupController: String] = [:]
        var testDescription: String { host }
    }

    private static let slice = "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service"
    private static let terminal = "\(slice)/app.slice/app-org.gnome.Terminal.slice"

    private static func all(_ reason: String) -> [ControlGroupController: String] {
        Dictionary(uniqueKeysWithValues: ControlGroupController.allCases.map { ($0, reason) })
    }

    static let hosts: [Expectation] = [
        Expectation(host: "fedora-terminal", place: "\(terminal)/box-*: enable cpu in \(terminal)"),
        Expectation(
            host: "ubuntu-24.04-terminal",
            place: "\(terminal)/box-*: enable cpu in \(slice); enable cpu in \(slice)/app.slice; "
                + "enable cpu in \(terminal)"),
        Expectation(
            host: "old-systemd-terminal", place: "\(terminal)/box-*: ",
            missing: [.cpu: "the cpu controller is not handed down to \(slice): add it to Delegate="]),
        Expectation(
            host: "ubuntu-24.04-ssh", place: "none",
            missing: all("not delegated: run `systemd-run --user --scope -p Delegate=yes box …`")),
        Expectation(
            host: "systemd-run-user",
            place: "\(slice)/app.slice/run-r1b2.scope/box-*: "
                + "make \(slice)/app.slice/run-r1b2.scope/box-supervisor; "
                + "move self to \(slice)/app.slice/run-r1b2.scope/box-supervisor; "
                + "enable cpu memory pids in \(slice)/app.slice/run-r1b2.scope"),
        Expectation(
            host: "system-service-user",
            place: "/sys/fs/cgroup/system.slice/box-night.service/box-*: "
                + "make /sys/fs/cgroup/system.slice/box-night.service/box-supervisor; "
                + "move self to /sys/fs/cgroup/system.slice/box-night.service/box-supervisor; "
                + "enable cpu memory pids in /sys/fs/cgroup/system.slice/box-night.service"),
        Expectation(
            host: "shared-service-user", place: "none",
            missing: all("other processes share the group /sys/fs/cgroup/system.slice/ci-runner.service")),
        Expectation(
            host: "root",
            place:
                "/sys/fs/cgroup/box/*: make /sys/fs/cgroup/box; "
                + "enable cpu memory pids in /sys/fs/cgroup/box"),
        Expectation(
            host: "root-without-systemd",
            place: "/sys/fs/cgroup/box/*: enable cpu memory pids in /sys/fs/cgroup; make /sys/fs/cgroup/box; "
                + "enable cpu memory pids in /sys/fs/cgroup/box"),
        Expectation(
            host: "memory-off",
            place: "/sys/fs/cgroup/box/*: make /sys/fs/cgroup/box; enable cpu pids in /sys/fs/cgroup/box",
            missing: [.memory: "the memory controller is not offered in /sys/fs/cgroup: switched off"]),
        Expectation(
            host: "docker", place: "none",
            missing: all("the cgroup file system is read-only, as in most containers")),
        Expectation(
            host: "container-writable-alone",
            place: "/sys/fs/cgroup/box-*: make /sys/fs/cgroup/box-supervisor; "
                + "move self to /sys/fs/cgroup/box-supervisor; enable cpu memory pids in /sys/fs/cgroup"),
        Expectation(
            host: "container-writable-shared", place: "none",
            missing: all("other processes share the group /sys/fs/cgroup with box")),
        Expectation(host: "container-bind-mount", place: "/mnt/my groups/box-*: "),
        Expectation(
            host: "namespace-without-mount", place: "none",
            missing: all("box's own group is outside the mounted cgroup tree")),
        Expectation(
            host: "hybrid", place: "none",
            missing: [
                .memory: "cgroup v1 hybrid: the memory controller is not on v2",
                .cpu: "cgroup v1 hybrid: the cpu controller is not on v2",
                .pids: "cgroup v1 hybrid: the pids controller is not on v2",
            ]),
        Expectation(host: "v1-only", place: "none", missing: all("this host has cgroup v1 only")),
        Expectation(host: "no-cgroups", place: "none", missing: all("cgroup v2 is not mounted")),
        Expectation(
            host: "openrc-user", place: "none",
            missing: all("not delegated: no group above /sys/fs/cgroup/openrc.tty1 is writable")),
        Expectation(
            host: "threaded", place: "none",
            missing: [
                .memory: "the memory controller is not offered",
                .cpu: "the group /sys/fs/cgroup is of type \"threaded\"",
                .pids: "the group /sys/fs/cgroup is of type \"threaded\"",
            ]),
    ]

    @Test(arguments: hosts)
    func `a host gets the place and the reasons that are right for it`(expected: Expectation) throws {
        let support = ControlGroupSupport(try Fixture.host(expected.host))
        #expect(text(support.place) == expected.place)
        #expect(Set(support.missing.keys) == Set(expected.missing.keys))
        for (controller, reason) in expected.missing {
            let given = support.missing[controller] ?? "available"
            #expect(given.hasPrefix(reason), "\(controller): \(given)")
        }
        #expect(support.available.count == 3 - expected.missing.count)
    }

    @Test func `every fixture is in the table`() throws {
        #expect(try Fixture.names() == ControlGroupSupportTests.hosts.map(\.host).sorted())
    }

    @Test func `this host is asked without an error, and each controller is there or has a reason`() throws {
        let support = try ControlGroupSupport.probe()
        #expect(support.missing.count + support.available.count == 3)
        #expect(support.available.isEmpty == (support.place == nil))
    }

    private func text(_ place: ControlGroupPlace?) -> String {
        guard let place else { return "none" }
        let steps = place.preparations.map { step in
            switch step {
            case .make(let group): "make \(group)"
            case .moveSelf(let group): "move self to \(group)"
            case .enable(let controllers, let group):
                "enable \(controllers.map(\.rawValue).joined(separator: " ")) in \(group)"
            }
        }
        return "\(place.parent)/\(place.prefix)*: " + steps.joined(separator: "; ")
    }
}

/// An invented host: a directory with the kernel's texts and a table of its groups.
private enum Fixture {
    static var directory: String {
        let tests = #filePath.split(separator: "/").dropLast(2).joined(separator: "/")
        return "/\(tests)/Fixtures/cgroup"
    }

    static func names() throws -> [String] {
        guard let listing = unsafe opendir(directory) else { throw KernelError(call: "opendir", code: errno) }
        defer { unsafe closedir(listing) }
        var names: [String] = []
        while let entry = unsafe readdir(listing) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) {
                unsafe $0.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            if !name.hasPrefix(".") { names.append(name) }
        }
        return names.sorted()
    }

    static func host(_ name: String) throws -> ControlGroupHost {
        let location = ControlGroupHost.Location(
            membership: try contents("\(directory)/\(name)/cgroup"),
            mounts: try contents("\(directory)/\(name)/mountinfo"))
        let groups = try contents("\(directory)/\(name)/groups").split(separator: "\n")
            .filter { !$0.hasPrefix("#") }.map { try group($0) }
        // The table describes the very groups that the texts lead to, and as a kernel would show them.
        #expect(location.chain == groups.map(\.path))
        for (parent, child) in zip(groups, groups.dropFirst()) {
            #expect(child.controllers == parent.handedDown, "\(child.path)")
        }
        return ControlGroupHost(location: location, groups: groups)
    }

    private static func group(_ line: Substring) throws -> ControlGroupHost.Group {
        let fields = line.split(separator: " ").map(String.init)
        try #require(fields.count == 6)
        func set(_ text: String) -> Set<String> {
            text == "-" ? [] : Set(text.split(separator: ",").map(String.init))
        }
        let processes: [String: ControlGroupHost.Group.Processes] = [
            "none": .none, "onlySelf": .onlySelf, "others": .others,
        ]
        return ControlGroupHost.Group(
            path: try AbsolutePath(fields[0].split(separator: "\\040").joined(separator: " ")),
            controllers: set(fields[2]), handedDown: set(fields[3]), type: fields[1] == "-" ? nil : fields[1],
            processes: try #require(processes[fields[4]]), canCreate: fields[5].contains("c"),
            canMove: fields[5].contains("m"), canEnable: fields[5].contains("e"))
    }
}

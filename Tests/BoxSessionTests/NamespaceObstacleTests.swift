import BoxPlan
import BoxSession
import BoxTypes
import Glibc
import Testing

/// Why a host refuses sandboxes, and what to do.
struct NamespaceObstacleTests {
    /// A change to a host without particulars.
    static func signs(_ change: (inout HostSigns) -> Void) -> HostSigns {
        var signs = HostSigns()
        signs.mostNamespaces = 1000
        change(&signs)
        return signs
    }

    @Test func `Ubuntu's restriction is lifted for box alone by two lines that name it`() throws {
        let ubuntu = Self.signs {
            $0.appArmorRestriction = 1
            $0.label = "unconfined"
            $0.program = "/home/ada/.local/bin/box"
        }
        let obstacle = try #require(NamespaceObstacle.bySettings(ubuntu))
        #expect(obstacle.reason.contains("kernel.apparmor_restrict_unprivileged_userns = 1"))
        let lines = obstacle.fix.split(separator: "\n")
        #expect(lines.count == 2)
        #expect(lines[0].contains(#"profile box "/home/ada/.local/bin/box" flags=(unconfined)"#))
        #expect(lines[0].hasSuffix("| sudo tee /etc/apparmor.d/box"))
        #expect(lines[1] == "sudo apparmor_parser -r /etc/apparmor.d/box")
    }

    @Test(arguments: [
        "/tmp/a'b/box", "/tmp/$(x)/box", "/tmp/*/box", "/tmp/a\"b/box", "/tmp/a\nb/box", "box (deleted)",
    ])
    func `a path that a shell or a profile would read otherwise is in no line to copy`(_ program: String)
        throws
    {
        let ubuntu = Self.signs {
            $0.appArmorRestriction = 1
            $0.program = program
        }
        let fix = try #require(NamespaceObstacle.bySettings(ubuntu)).fix
        #expect(!fix.contains("apparmor_parser") && fix.contains("/usr/local/bin/box"))
    }

    @Test func `root and a program with a profile are not restricted`() {
        let restricted = Self.signs { $0.appArmorRestriction = 1 }
        #expect(NamespaceObstacle.bySettings(restricted) != nil)
        var root = restricted
        root.isRoot = true
        var profiled = restricted
        profiled.label = "box (unconfined)"
        #expect(NamespaceObstacle.bySettings(root) == nil)
        #expect(NamespaceObstacle.bySettings(profiled) == nil)
        #expect(NamespaceObstacle.bySettings(Self.signs { _ in }) == nil)
    }

    @Test func `switches of the kernel are named with the command that turns them`() throws {
        let off = try #require(NamespaceObstacle.bySettings(Self.signs { $0.mostNamespaces = 0 }))
        #expect(off.fix.hasPrefix("sudo sysctl -w user.max_user_namespaces=10000\n"))
        let inside = try #require(
            NamespaceObstacle.bySettings(
                Self.signs {
                    $0.mostNamespaces = 0
                    $0.isInsideBox = true
                }))
        #expect(inside.reason.contains("inside of a sandbox already"))
        let clone = try #require(NamespaceObstacle.bySettings(Self.signs { $0.unprivilegedClone = 0 }))
        #expect(clone.fix.hasPrefix("sudo sysctl -w kernel.unprivileged_userns_clone=1\n"))
        // That one is for ordinary users.
        let root = Self.signs {
            $0.unprivilegedClone = 0
            $0.isRoot = true
        }
        #expect(NamespaceObstacle.bySettings(root) == nil)
    }

    struct Row: Sendable, CustomTestStringConvertible {
        var step: RehearsalStep
        var code: Int32
        var container: HostSigns.Container?
        var covers: [String] = []
        var reason: String
        var fix: String
        var testDescription: String { "\(step.rawValue) \(code) \(container?.rawValue ?? "")" }
    }

    static let rows: [Row] = [
        Row(
            step: .clone, code: EPERM, container: .docker, reason: "Docker refuses", fix: "seccomp=unconfined"
        ),
        Row(step: .clone, code: ENOSYS, container: .podman, reason: "Podman refuses", fix: "unmask=ALL"),
        Row(
            step: .clone, code: EPERM, container: .kubernetes, reason: "Kubernetes refuses",
            fix: "procMount: Unmasked"),
        Row(step: .clone, code: EPERM, container: .lxc, reason: "LXC refuses", fix: "security.nesting"),
        Row(step: .clone, code: EPERM, reason: "new namespaces are refused", fix: "security module"),
        Row(step: .clone, code: ENOSYS, reason: "no clone3", fix: "Linux 5.13"),
        Row(step: .clone, code: ENOSPC, reason: "too many namespaces", fix: "user.max_user_namespaces"),
        Row(step: .clone, code: EINVAL, reason: "lacks one of the namespaces", fix: "CONFIG_NAMESPACES"),
        Row(step: .map, code: EPERM, reason: "cannot be mapped", fix: "kernel's log"),
        Row(step: .identity, code: EINVAL, reason: "unprivileged id", fix: "ordinary user"),
        Row(
            step: .mount, code: EACCES, container: .docker, reason: "no rights of its own",
            fix: "apparmor=unconfined"),
        Row(
            step: .proc, code: EPERM, container: .docker, covers: ["/proc/kcore", "/proc/keys"],
            reason: "partly covered (for example /proc/kcore)", fix: "systempaths=unconfined"),
        Row(step: .proc, code: ENODEV, reason: "refuses a /proc of its own", fix: "kernel's log"),
        Row(step: .terminals, code: ENODEV, reason: "pseudo-terminals", fix: "CONFIG_UNIX98_PTYS"),
        Row(step: .queues, code: ENODEV, reason: "message queues", fix: "CONFIG_POSIX_MQUEUE"),
        Row(
            step: .privileges, code: EPERM, reason: "no rights of its own (step privileges",
            fix: "security module"),
    ]

    @Test(arguments: rows)
    func `what a rehearsal shows is explained`(_ row: Row) {
        let signs = Self.signs {
            $0.container = row.container
            $0.coversOnProc = row.covers
        }
        let obstacle = NamespaceObstacle.explain(row.step, code: row.code, signs)
        #expect(obstacle.reason.contains(row.reason))
        #expect(obstacle.fix.contains(row.fix))
    }

    @Test func `rights that are missing in a new namespace mean AppArmor where it restricts them`() {
        // The namespace was made, since box has a profile, but one that does not say userns.
        let signs = Self.signs {
            $0.appArmorRestriction = 1
            $0.label = "box (enforce)"
            $0.program = "/usr/local/bin/box"
        }
        let obstacle = NamespaceObstacle.explain(.mount, code: EACCES, signs)
        #expect(obstacle.reason.contains("AppArmor") && obstacle.fix.contains("apparmor_parser"))
    }

    @Test(arguments: [
        (true, false, false, "0::/", "", HostSigns.Container.docker),
        (false, true, false, "0::/", "", .podman),
        (false, false, true, "0::/", "", .kubernetes),
        (false, false, false, "0::/kubepods/burstable/pod1/x", "", .kubernetes),
        (false, false, false, "1:cpu:/docker/0123", "", .docker),
        (false, false, false, "0::/machine.slice/libpod-1.scope", "", .podman),
        (false, false, false, "0::/", "lxc", .lxc),
        (false, false, false, "0::/", "systemd-nspawn", .other),
    ])
    func `a container is known by what it leaves`(
        docker: Bool, podman: Bool, kubernetes: Bool, groups: String, environment: String,
        kind: HostSigns.Container
    ) {
        #expect(
            HostSigns.container(
                hasDockerFile: docker, hasPodmanFile: podman, hasServiceAccount: kubernetes, groups: groups,
                environment: environment) == kind)
    }

    @Test func `a plain host is no container`() {
        #expect(
            HostSigns.container(
                hasDockerFile: false, hasPodmanFile: false, hasServiceAccount: false,
                groups: "0::/user.slice/user-1000.slice/session-2.scope", environment: "") == nil)
    }

    @Test func `covers on proc are found and the kernel's own mount points are none`() {
        let mountinfo = """
            22 1 0:20 / /proc rw,nosuid - proc proc rw
            23 22 0:21 / /proc/sys/fs/binfmt_misc rw - binfmt_misc none rw
            24 22 0:5 /null /proc/kcore rw - tmpfs tmpfs rw
            25 22 0:20 /sys /proc/sys ro - proc proc rw
            26 1 0:22 / /process rw - tmpfs none rw
            """
        #expect(HostSigns.covers(mountinfo) == ["/proc/kcore", "/proc/sys"])
    }
}

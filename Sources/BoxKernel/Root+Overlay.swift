internal import BoxTypes
internal import CLinux
internal import Glibc

extension Root {
    /// An overlay of a directory with `upper` and `work` of a stage, and `hide` between them if `hides`; not yet
    /// attached. Both mounts are detached ones.
    ///
    /// The layers are attached below the new root while the overlay is made, because kernels before 6.15 take only
    /// layers that are mounted in the caller's namespace; and they are named relative to it, so that the list of mounts
    /// inside shows no path of the host. Afterwards they are gone: nothing inside reaches a layer but through the
    /// overlay.
    ///
    /// `volatile`: the kernel would else wait for the disk at every file that is changed for the first time (3 ms each, measured),
    /// and for all that was written at the end. Whoever mounts the same stage again removes what `work` holds before, by which
    /// the kernel remembers; whoever needs the stage after a power loss syncs it.
    ///
    /// `userxattr`, without redirects, metacopy and index: what an unprivileged overlay may have, and the upper layer
    /// can be read without the lower one.
    package borrowing func overlay(
        lower: borrowing Descriptor, stage: borrowing Descriptor, hides: Bool
    ) throws(KernelError) -> Descriptor {
        let places = (AbsolutePath(literal: "/.layers/lower"), AbsolutePath(literal: "/.layers/stage"))
        try makeDirectory(places.0)
        try makeDirectory(places.1)
        try attach(lower, at: places.0)
        try attach(stage, at: places.1)
        try changeDirectory()
        let mount = try Mounts.filesystem(
            "overlay",
            options: [
                ("lowerdir", hides ? ".layers/stage/hide:.layers/lower" : ".layers/lower"),
                ("upperdir", ".layers/stage/upper"), ("workdir", ".layers/stage/work"), ("userxattr", ""),
                ("volatile", ""), ("redirect_dir", "nofollow"), ("metacopy", "off"), ("index", "off"),
                ("xino", "off"),
            ], attributes: [])
        for name in [".layers/stage", ".layers/lower"] {
            try check("umount2", unsafe box_detach_mount(name), name)
            try check("rmdir", unsafe rmdir(name), name)
        }
        try check("rmdir", unsafe rmdir(".layers"), ".layers")
        return mount
    }
}

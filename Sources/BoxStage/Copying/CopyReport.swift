/// How far a copy is.
package struct CopyProgress: Equatable, Sendable {
    package var files = 0
    package var bytes = 0
    /// Calls that had to be made again, because a shared file system failed for the moment.
    package var retries = 0
    package init() {}
}

/// What a copy of a tree came to.
package struct CopyReport: Equatable, Sendable {
    /// Regular files (each inode once), their bytes, and the calls made again.
    package var progress = CopyProgress()
    /// Of the files: those that share their blocks with the original.
    package var sharing = 0
    package var directories = 0
    package var links = 0
    /// Further names of files that have several.
    package var hardLinks = 0
    /// Left out: devices, FIFOs and sockets.
    package var specialFiles = 0
    /// Left out: places where another file system is mounted.
    package var otherMounts = 0
    /// Deleted on the host while the copy was made, so neither copied nor recorded.
    package var vanished = 0
    /// Directories in which names came or went while the copy was made.
    package var changedDirectories = 0
    /// Files and directories whose extended attributes the stage's file system cannot hold.
    package var lostAttributes = 0
    package init() {}
}

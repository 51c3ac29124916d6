// The whole C surface of box: what Swift cannot say (clone3's child), what glibc hides from Swift behind
// _GNU_SOURCE or does not wrap, and function-like macros. Every function but box_spawn is one system call or
// one macro; those that can fail return -1 and set errno.
#ifndef CLINUX_H
#define CLINUX_H

#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// --- Starting the sandbox (spawn.c) ---------------------------------------------------------------------

// What box_spawn does in the child. All pointers stay the caller's.
struct box_spawn_plan {
    uint64_t clone_flags;      // CLONE_NEW*; CLONE_PIDFD is added
    int go_fd;                 // the child reads one byte here before it goes on; end of file: it exits; -1: no wait
    int error_fd;              // close-on-exec pipe: gets an int32 errno if the child fails before it is on its way
    void (*entry)(void);       // what the child runs, in its copy of this process; NULL: it executes
    int executable_fd;         // what is executed, by execveat(AT_EMPTY_PATH)
    const int *inherit;        // descriptors that stay open, moved to 3, 4, 5 … in this order
    int inherit_count;
    int stream_fd;             // becomes 0, 1 and 2; -1: they are this process's
    int cgroup_fd;             // CLONE_INTO_CGROUP, or -1
    char *const *arguments;
    char *const *environment;
};

// clone3 with the flags; the child moves the inherited descriptors, closes all others, and executes (its capabilities
// are kept by the ambient set) or runs its entry, with no arguments and environment of the user's left in its memory.
// The process must have one thread. Returns the child's pid and stores its pidfd.
pid_t box_spawn(const struct box_spawn_plan *plan, int *pidfd);

// What box_start_command starts. All pointers stay the caller's.
struct box_command {
    char *const *arguments;
    char *const *environment;
    char *const *candidates;        // paths to try in order, ended by NULL, as execvp(3) does
    int streams[3];                 // become 0, 1 and 2
    int takes_terminal;             // streams[0] is the terminal whose foreground the new group takes
    int keeps_descriptors;          // all but 0, 1 and 2 close at exec unless this is set (for tests)
    int begins_session;             // streams[0] is a terminal that becomes the controlling one of a new session
    const char *directory;          // where the program starts; NULL: in this process's directory
#define BOX_DIRECTORY_FAILED (1 << 16)    // in the errno, if it could not
    int failure_fd;                 // box_begin_command: close-on-exec pipe that gets an int32 errno on failure
};

// Starts a program in a process group of its own, with standard signals, without copying this process (vfork): the
// caller goes on when the program runs or could not be executed. Returns its pid, or -1 and the errno of execve.
pid_t box_start_command(const struct box_command *command);
// The same by a copy of this process (fork), for a caller that must go on meanwhile: the errno of what failed comes
// through failure_fd, and its end of file when the program runs.
pid_t box_begin_command(const struct box_command *command);

// --- Descriptors ----------------------------------------------------------------------------------------
int box_pipe2(int ends[2], int flags);
int box_socketpair_seqpacket(int ends[2]);
int box_memfd_create(const char *name, unsigned int flags);
int box_seal(int fd);                                   // no write, grow, shrink or further seal
int box_close_range(unsigned int first, unsigned int last, unsigned int flags);
int box_dup3(int from, int to, int flags);
int box_fcntl_dupfd_cloexec(int fd, int least);
int box_fcntl_getfl(int fd);
int box_fcntl_setfl(int fd, int flags);
int box_fcntl_setfd(int fd, int flags);
ssize_t box_send_with_fds(int fd, const void *bytes, size_t size, const int *fds, int count);
// Receives one packet; at most *count descriptors are stored (close-on-exec) and *count is set.
// A truncated packet or control message is an error (EMSGSIZE), and its descriptors are closed.
ssize_t box_recv_with_fds(int fd, void *bytes, size_t size, int *fds, int *count, int waits);
int box_flock(int fd, int operation);
int box_rename_noreplace(const char *from, const char *to);

// --- Processes and signals ------------------------------------------------------------------------------
int box_pidfd_open(pid_t pid);
int box_pidfd_send_signal(int pidfd, int signal);
int box_waitid_pidfd(int pidfd, int options, int *code, int *status);   // options as waitid(2) without WEXITED
// PIDFD_GET_INFO: the parent of a process that lives (Linux 6.13), the wait status of one that has ended and was waited
// for (Linux 6.15). 0, or -1: the kernel cannot say, or not now (ENODATA).
int box_pidfd_parent(int pidfd, pid_t *parent);
int box_pidfd_end(int pidfd, int *status);
int box_signalfd(const sigset_t *mask);                 // close-on-exec, non-blocking
int box_signalfd_next(int fd);                          // the next signal, 0 if none waits
int box_unshare(int flags);
int box_setns(int fd, int type);
int box_execveat(int fd, const char *path, char *const argv[], char *const envp[], int flags);
int box_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d);
int box_setresuid(uid_t uid);
int box_setresgid(gid_t gid);
int box_setgroups0(void);
int box_set_controlling_terminal(int fd);
int box_wifexited(int status);
int box_wexitstatus(int status);
int box_wifsignaled(int status);
int box_wtermsig(int status);
int box_wifstopped(int status);
int box_wstopsig(int status);
int box_wifcontinued(int status);

// --- Mounts (the calls glibc 2.36 has are used by their libc names' numbers all the same) ----------------
int box_make_mounts_private(void);                      // MS_REC | MS_PRIVATE on /
int box_bind(const char *source, const char *target);   // MS_BIND: the copy has the source mount's attributes
int box_detach_mount(const char *target);               // umount2 with MNT_DETACH
int box_pivot_root(const char *new_root, const char *put_old);
int box_open_tree(int dirfd, const char *path, unsigned int flags);
int box_move_mount(int from_fd, int to_dirfd, const char *to_path);     // from: an O_PATH mount descriptor
int box_fsopen(const char *type);
int box_fsconfig_string(int fd, const char *key, const char *value);
int box_fsconfig_flag(int fd, const char *key);
int box_fsconfig_create(int fd);
int box_fsmount(int fd, uint64_t attributes);
// mount_setattr(2) on the mount itself (AT_EMPTY_PATH); idmap_fd is a user namespace or -1.
int box_mount_setattr(int fd, int recursive, uint64_t set, uint64_t clear, int idmap_fd);
int box_openat2(int dirfd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve);

// --- Security -------------------------------------------------------------------------------------------
int box_landlock_abi(void);
int box_landlock_create_ruleset(uint64_t access_fs, uint64_t access_net, uint64_t scoped);
int box_landlock_add_path(int ruleset_fd, uint64_t access, int path_fd);
int box_landlock_restrict_self(int ruleset_fd, uint32_t flags);
// Installs a compiled filter for the calling thread (flags 0) or all threads (SECCOMP_FILTER_FLAG_TSYNC).
int box_seccomp_install(const void *program, size_t bytes, unsigned int flags);
int box_seccomp_action_available(uint32_t action);
uint32_t box_scmp_act_errno(uint16_t code);
uint32_t box_scmp_act_trace(uint16_t code);

// --- Putting files in place (files.c) --------------------------------------------------------------------
int box_renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned int flags);
int box_syncfs(int fd);
int box_mount_id(int fd, uint64_t *id);                 // STATX_MNT_ID; ENOSYS before Linux 5.8
int box_set_times(int dirfd, const char *name, int64_t seconds, int64_t nanoseconds);   // mtime alone, no link followed
int box_chmod_nofollow(int dirfd, const char *name, uint32_t mode);     // EOPNOTSUPP for a link
ssize_t box_list_xattrs(int fd, char *names, size_t size);
ssize_t box_get_xattr(int fd, const char *name, void *value, size_t size);
int box_set_xattr(int fd, const char *name, const void *value, size_t size);
extern const unsigned int BOX_RENAME_NOREPLACE, BOX_RENAME_EXCHANGE;

// --- Any system call, for probes: returns the result or -1 with errno ------------------------------------
long box_syscall(long number, long a, long b, long c, long d, long e, long f);

// --- Constants that Swift's importer cannot see ----------------------------------------------------------
extern const int BOX_O_PATH, BOX_O_DIRECTORY, BOX_O_CLOEXEC, BOX_O_NOFOLLOW, BOX_O_TMPFILE;
extern const uint64_t BOX_ALL_NAMESPACES, BOX_CLONE_NEWUSER, BOX_CLONE_NEWNS;
// Numbers of calls on this processor; -1 for one that it does not have.
extern const int BOX_SYS_RENAME, BOX_SYS_RENAMEAT, BOX_SYS_RENAMEAT2, BOX_SYS_EXECVE, BOX_SYS_EXECVEAT;
extern const unsigned int BOX_AT_EMPTY_PATH, BOX_OPEN_TREE_CLONE, BOX_AT_RECURSIVE;
extern const uint64_t BOX_MOUNT_RDONLY, BOX_MOUNT_NOSUID, BOX_MOUNT_NODEV, BOX_MOUNT_NOEXEC;
extern const uint64_t BOX_RESOLVE_NO_SYMLINKS, BOX_RESOLVE_NO_MAGICLINKS, BOX_RESOLVE_BENEATH,
    BOX_RESOLVE_IN_ROOT, BOX_RESOLVE_NO_XDEV;
#endif

// One line each: what glibc hides from Swift or does not wrap. See clinux.h.
#define _GNU_SOURCE
#include "clinux.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/openat2.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int box_pipe2(int ends[2], int flags) { return pipe2(ends, flags); }
int box_socketpair_seqpacket(int ends[2]) { return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends); }
int box_rename_noreplace(const char *from, const char *to) {
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 1 /* RENAME_NOREPLACE */);
}
int box_memfd_create(const char *name, unsigned int flags) { return (int)syscall(SYS_memfd_create, name, flags); }
int box_seal(int fd) { return fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE); }
int box_close_range(unsigned int first, unsigned int last, unsigned int flags) {
    return (int)syscall(SYS_close_range, first, last, flags);
}
int box_dup3(int from, int to, int flags) { return dup3(from, to, flags); }
int box_fcntl_dupfd_cloexec(int fd, int least) { return fcntl(fd, F_DUPFD_CLOEXEC, least); }
int box_fcntl_getfl(int fd) { return fcntl(fd, F_GETFL); }
int box_fcntl_setfl(int fd, int flags) { return fcntl(fd, F_SETFL, flags); }
int box_fcntl_setfd(int fd, int flags) { return fcntl(fd, F_SETFD, flags); }
int box_flock(int fd, int operation) { return flock(fd, operation); }

enum { most_fds = 200 };  // the kernel takes 253

ssize_t box_send_with_fds(int fd, const void *bytes, size_t size, const int *fds, int count) {
    union { struct cmsghdr head; char room[CMSG_SPACE(sizeof(int) * most_fds)]; } control;
    struct iovec vector = {.iov_base = (void *)bytes, .iov_len = size};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
    if (count > most_fds) { errno = E2BIG; return -1; }
    if (count > 0) {
        memset(&control, 0, sizeof control);
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)count);
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)count);
        memcpy(CMSG_DATA(head), fds, sizeof(int) * (size_t)count);
    }
    ssize_t sent;
    do sent = sendmsg(fd, &message, MSG_NOSIGNAL); while (sent < 0 && errno == EINTR);
    return sent;
}

ssize_t box_recv_with_fds(int fd, void *bytes, size_t size, int *fds, int *count, int waits) {
    union { struct cmsghdr head; char room[CMSG_SPACE(sizeof(int) * most_fds)]; } control;
    struct iovec vector = {.iov_base = bytes, .iov_len = size};
    struct msghdr message = {
        .msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    int room = *count, kept = 0, lost = 0;
    ssize_t got;
    do got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC | (waits ? 0 : MSG_DONTWAIT)); while (got < 0 && errno == EINTR);
    if (got < 0) return -1;
    for (struct cmsghdr *head = CMSG_FIRSTHDR(&message); head; head = CMSG_NXTHDR(&message, head)) {
        if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS) continue;
        size_t n = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int received;
            memcpy(&received, CMSG_DATA(head) + i * sizeof(int), sizeof(int));
            if (kept < room) fds[kept++] = received;
            else { close(received); lost = 1; }
        }
    }
    if (lost || (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
        for (int i = 0; i < kept; i++) close(fds[i]);
        *count = 0;
        errno = EMSGSIZE;
        return -1;
    }
    *count = kept;
    return got;
}

int box_pidfd_open(pid_t pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }
int box_pidfd_send_signal(int pidfd, int signal) { return (int)syscall(SYS_pidfd_send_signal, pidfd, signal, 0, 0); }
int box_waitid_pidfd(int pidfd, int options, int *code, int *status) {
    siginfo_t info;
    memset(&info, 0, sizeof info);
    int result;
    do result = waitid((idtype_t)3 /* P_PIDFD */, (id_t)pidfd, &info, options | WEXITED);
    while (result < 0 && errno == EINTR);
    *code = info.si_code;
    *status = info.si_status;
    return result;
}
// <linux/pidfd.h> of Linux 6.15; the kernel takes the structure at any length that it once had.
struct pidfd_facts {
    uint64_t mask, group;
    uint32_t pid, thread_group, parent, ids[8];
    int32_t exit_code;
};
enum { facts_pid = 1 << 0, facts_exit = 1 << 3 };

static int facts(int pidfd, uint64_t wanted, struct pidfd_facts *found) {
    *found = (struct pidfd_facts){.mask = wanted};
    if (ioctl(pidfd, _IOWR(0xFF, 11, struct pidfd_facts), found)) return -1;
    if (found->mask & wanted) return 0;
    errno = ENODATA;
    return -1;
}
int box_pidfd_parent(int pidfd, pid_t *parent) {
    struct pidfd_facts found;
    if (facts(pidfd, facts_pid, &found)) return -1;
    *parent = (pid_t)found.parent;
    return 0;
}
int box_pidfd_end(int pidfd, int *status) {
    struct pidfd_facts found;
    if (facts(pidfd, facts_exit, &found)) return -1;
    *status = found.exit_code;
    return 0;
}
int box_signalfd(const sigset_t *mask) { return signalfd(-1, mask, SFD_CLOEXEC | SFD_NONBLOCK); }
int box_signalfd_next(int fd) {
    struct signalfd_siginfo info;
    ssize_t got;
    do got = read(fd, &info, sizeof info); while (got < 0 && errno == EINTR);
    if (got < 0) return errno == EAGAIN ? 0 : -1;
    return (int)info.ssi_signo;
}
int box_unshare(int flags) { return unshare(flags); }
int box_setns(int fd, int type) { return setns(fd, type); }
int box_execveat(int fd, const char *path, char *const argv[], char *const envp[], int flags) {
    return (int)syscall(SYS_execveat, fd, path, argv, envp, flags);
}
int box_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d) {
    return prctl(option, a, b, c, d);
}
int box_setresuid(uid_t uid) { return (int)syscall(SYS_setresuid, uid, uid, uid); }
int box_setresgid(gid_t gid) { return (int)syscall(SYS_setresgid, gid, gid, gid); }
int box_setgroups0(void) { return (int)syscall(SYS_setgroups, 0, 0); }
int box_set_controlling_terminal(int fd) { return ioctl(fd, TIOCSCTTY, 0); }
int box_wifexited(int status) { return WIFEXITED(status); }
int box_wexitstatus(int status) { return WEXITSTATUS(status); }
int box_wifsignaled(int status) { return WIFSIGNALED(status); }
int box_wtermsig(int status) { return WTERMSIG(status); }
int box_wifstopped(int status) { return WIFSTOPPED(status); }
int box_wstopsig(int status) { return WSTOPSIG(status); }
int box_wifcontinued(int status) { return WIFCONTINUED(status); }

int box_make_mounts_private(void) { return mount(0, "/", 0, MS_REC | MS_PRIVATE, 0); }
int box_bind(const char *source, const char *target) { return mount(source, target, 0, MS_BIND, 0); }
int box_detach_mount(const char *target) { return umount2(target, MNT_DETACH); }
int box_pivot_root(const char *new_root, const char *put_old) {
    return (int)syscall(SYS_pivot_root, new_root, put_old);
}
int box_open_tree(int dirfd, const char *path, unsigned int flags) {
    return (int)syscall(SYS_open_tree, dirfd, path, flags | OPEN_TREE_CLOEXEC);
}
int box_move_mount(int from_fd, int to_dirfd, const char *to_path) {
    return (int)syscall(SYS_move_mount, from_fd, "", to_dirfd, to_path,
        MOVE_MOUNT_F_EMPTY_PATH | (to_path[0] ? 0 : MOVE_MOUNT_T_EMPTY_PATH));
}
int box_fsopen(const char *type) { return (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC); }
int box_fsconfig_string(int fd, const char *key, const char *value) {
    return (int)syscall(SYS_fsconfig, fd, FSCONFIG_SET_STRING, key, value, 0);
}
int box_fsconfig_flag(int fd, const char *key) { return (int)syscall(SYS_fsconfig, fd, FSCONFIG_SET_FLAG, key, 0, 0); }
int box_fsconfig_create(int fd) { return (int)syscall(SYS_fsconfig, fd, FSCONFIG_CMD_CREATE, 0, 0, 0); }
int box_fsmount(int fd, uint64_t attributes) { return (int)syscall(SYS_fsmount, fd, FSMOUNT_CLOEXEC, attributes); }
int box_mount_setattr(int fd, int recursive, uint64_t set, uint64_t clear, int idmap_fd) {
    struct mount_attr attributes = {.attr_set = set, .attr_clr = clear};
    if (idmap_fd >= 0) {
        attributes.attr_set |= MOUNT_ATTR_IDMAP;
        attributes.userns_fd = (uint64_t)idmap_fd;
    }
    return (int)syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), &attributes,
        sizeof attributes);
}
int box_openat2(int dirfd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve) {
    struct open_how how = {.flags = flags | O_CLOEXEC, .mode = mode, .resolve = resolve};
    return (int)syscall(SYS_openat2, dirfd, path, &how, sizeof how);
}

// Debian 12's <linux/landlock.h> ends at ABI 1, so the structures are spelled out (landlock(7)).
struct ruleset_attr { uint64_t handled_access_fs, handled_access_net, scoped; };
struct path_beneath_attr { uint64_t allowed_access; int32_t parent_fd; } __attribute__((packed));
int box_landlock_abi(void) { return (int)syscall(SYS_landlock_create_ruleset, 0, 0, 1u /* VERSION */); }
int box_landlock_create_ruleset(uint64_t access_fs, uint64_t access_net, uint64_t scoped) {
    struct ruleset_attr attributes = {access_fs, access_net, scoped};
    // Older kernels accept a longer structure whose unknown tail is zero (E2BIG otherwise).
    return (int)syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0u);
}
int box_landlock_add_path(int ruleset_fd, uint64_t access, int path_fd) {
    struct path_beneath_attr attributes = {access, path_fd};
    return (int)syscall(SYS_landlock_add_rule, ruleset_fd, 1 /* PATH_BENEATH */, &attributes, 0u);
}
int box_landlock_restrict_self(int ruleset_fd, uint32_t flags) {
    return (int)syscall(SYS_landlock_restrict_self, ruleset_fd, flags);
}

int box_seccomp_install(const void *program, size_t bytes, unsigned int flags) {
    struct sock_fprog filter = {
        .len = (unsigned short)(bytes / sizeof(struct sock_filter)), .filter = (struct sock_filter *)program};
    if (bytes % sizeof(struct sock_filter) || bytes / sizeof(struct sock_filter) > BPF_MAXINSNS) {
        errno = EINVAL;
        return -1;
    }
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &filter);
}
int box_seccomp_action_available(uint32_t action) {
    return (int)syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action);
}
uint32_t box_scmp_act_errno(uint16_t code) { return SECCOMP_RET_ERRNO | code; }
uint32_t box_scmp_act_trace(uint16_t code) { return SECCOMP_RET_TRACE | code; }

long box_syscall(long number, long a, long b, long c, long d, long e, long f) {
    return syscall(number, a, b, c, d, e, f);
}

const int BOX_O_PATH = O_PATH, BOX_O_DIRECTORY = O_DIRECTORY, BOX_O_CLOEXEC = O_CLOEXEC,
          BOX_O_NOFOLLOW = O_NOFOLLOW, BOX_O_TMPFILE = O_TMPFILE;
// Newer processors do not have the older ones.
#ifndef SYS_rename
#define SYS_rename -1
#endif
#ifndef SYS_renameat
#define SYS_renameat -1
#endif
const int BOX_SYS_RENAME = SYS_rename, BOX_SYS_RENAMEAT = SYS_renameat, BOX_SYS_RENAMEAT2 = SYS_renameat2,
          BOX_SYS_EXECVE = SYS_execve, BOX_SYS_EXECVEAT = SYS_execveat;
const uint64_t BOX_ALL_NAMESPACES = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC |
                                    CLONE_NEWUTS | CLONE_NEWCGROUP,
               BOX_CLONE_NEWUSER = CLONE_NEWUSER, BOX_CLONE_NEWNS = CLONE_NEWNS;
const unsigned int BOX_AT_EMPTY_PATH = AT_EMPTY_PATH, BOX_OPEN_TREE_CLONE = OPEN_TREE_CLONE,
                   BOX_AT_RECURSIVE = AT_RECURSIVE;
const uint64_t BOX_MOUNT_RDONLY = MOUNT_ATTR_RDONLY, BOX_MOUNT_NOSUID = MOUNT_ATTR_NOSUID,
               BOX_MOUNT_NODEV = MOUNT_ATTR_NODEV, BOX_MOUNT_NOEXEC = MOUNT_ATTR_NOEXEC;
const uint64_t BOX_RESOLVE_NO_SYMLINKS = RESOLVE_NO_SYMLINKS, BOX_RESOLVE_NO_MAGICLINKS = RESOLVE_NO_MAGICLINKS,
               BOX_RESOLVE_BENEATH = RESOLVE_BENEATH, BOX_RESOLVE_IN_ROOT = RESOLVE_IN_ROOT,
               BOX_RESOLVE_NO_XDEV = RESOLVE_NO_XDEV;

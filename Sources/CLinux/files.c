// One line each: what putting files in place needs and glibc hides from Swift. See clinux.h.
#define _GNU_SOURCE
#include "clinux.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

int box_renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned int flags) {
    return (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
}
int box_syncfs(int fd) { return syncfs(fd); }
int box_mount_id(int fd, uint64_t *id) {
    struct statx status;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &status) < 0) return -1;
    // Linux 5.8; an older kernel leaves the bit out.
    if (!(status.stx_mask & STATX_MNT_ID)) { errno = ENOSYS; return -1; }
    *id = status.stx_mnt_id;
    return 0;
}
int box_set_times(int dirfd, const char *name, int64_t seconds, int64_t nanoseconds) {
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = seconds, .tv_nsec = nanoseconds}};
    return utimensat(dirfd, name, times, AT_SYMLINK_NOFOLLOW);
}
int box_chmod_nofollow(int dirfd, const char *name, uint32_t mode) {
    return fchmodat(dirfd, name, mode, AT_SYMLINK_NOFOLLOW);
}
ssize_t box_list_xattrs(int fd, char *names, size_t size) { return flistxattr(fd, names, size); }
ssize_t box_get_xattr(int fd, const char *name, void *value, size_t size) {
    return fgetxattr(fd, name, value, size);
}
int box_set_xattr(int fd, const char *name, const void *value, size_t size) {
    return fsetxattr(fd, name, value, size, 0);
}

const unsigned int BOX_RENAME_NOREPLACE = RENAME_NOREPLACE, BOX_RENAME_EXCHANGE = RENAME_EXCHANGE;

#define _GNU_SOURCE
#include "copying.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

int box_clone_file(int to, int from) { return ioctl(to, FICLONE, from); }
const int BOX_SEEK_DATA = SEEK_DATA, BOX_SEEK_HOLE = SEEK_HOLE;

ssize_t box_copy_range(int from, int to, int64_t offset, size_t count) {
    off64_t in = offset, out = offset;
    return copy_file_range(from, &in, to, &out, count, 0);
}

int box_fetch_attributes(int fd) {
    struct statx unused;
    return statx(fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &unused);
}

int box_is_fuse(int fd) {
    struct statfs about;
    if (fstatfs(fd, &about)) return -1;
    return about.f_type == FUSE_SUPER_MAGIC;
}

int box_avoid_cache(int fd) {
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0) return -1;
    // EINVAL: this file system has no reads that go past the cache.
    if (fcntl(fd, F_SETFL, flags | O_DIRECT) && errno != EINVAL) return -1;
    int code = posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
    if (code) errno = code;
    return code ? -1 : 0;
}

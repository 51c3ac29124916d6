#define _GNU_SOURCE
#include "overlay.h"

#include <errno.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

ssize_t box_get_attribute(int fd, const char *name, void *value, size_t size) {
    return fgetxattr(fd, name, value, size);
}

ssize_t box_get_attribute_at(int directory, const char *file, const char *name, void *value, size_t size) {
    char path[64 + NAME_MAX];
    int length = snprintf(path, sizeof path, "/proc/self/fd/%d/%s", directory, file);
    if (length < 0 || (size_t)length >= sizeof path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return lgetxattr(path, name, value, size);
}

int box_is_in_memory(int fd) {
    struct statfs answer;
    if (fstatfs(fd, &answer) < 0) return -1;
    return answer.f_type == TMPFS_MAGIC || answer.f_type == RAMFS_MAGIC;
}

// flaky-fs: shows a directory read-only through FUSE, and fails as shared file systems do under load.
//
//   flaky-fs SOURCE MOUNTPOINT [OPTION...]
//     --seed N          what happens is a function of this and of the number of the request (default 1)
//     --fail ERRNO:N    that many of 1000 requests fail with this errno; may be given more than once
//     --short N         that many of 1000 reads give fewer bytes than there are, down to none
//     --deny PATH:ERRNO this file cannot be opened
//     --change PATH:N   N times, a read of this file that does not begin at its start first changes the file
//     --cached          the kernel may keep what it has read (otherwise each read is a request)
//     --report FILE     written at the end: "requests N", "short N", "changed N" and "ERRNO N" for each errno
//
// It writes "ready" to its output when the mount is there, and unmounts at SIGTERM or SIGINT. It runs as root, as root
// of a user namespace, or as a user by fusermount3.
#define FUSE_USE_VERSION 31
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <limits.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { most_faults = 16, thousand = 1000 };

static struct {
    int source;                 // the directory
    uint64_t seed;
    struct { int code, share; } faults[most_faults];
    int fault_count, short_share, cached;
    int denied_code;
    const char *denied, *changing, *report;
} options;

static atomic_ulong requests, shorts, changes, failed[most_faults];
static atomic_int changes_left;

// The n-th number of the seed's sequence (splitmix64).
static uint64_t draw(uint64_t n) {
    uint64_t z = options.seed * 0x2545f4914f6cdd1dULL + (n + 1) * 0x9e3779b97f4a7c15ULL;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

// What becomes of the next request: 0 or a negative errno. `*random` is for the request's own use.
static int fate(uint64_t *random) {
    uint64_t drawn = draw(atomic_fetch_add(&requests, 1));
    int value = (int)(drawn % thousand);
    *random = drawn >> 16;
    for (int i = 0; i < options.fault_count; i++) {
        value -= options.faults[i].share;
        if (value < 0) {
            atomic_fetch_add(&failed[i], 1);
            return -options.faults[i].code;
        }
    }
    return 0;
}

// FUSE's paths begin with a slash.
static const char *below(const char *path) { return path[1] ? path + 1 : "."; }

static int result(long value) { return value < 0 ? -errno : (int)value; }

#define MAY_FAIL                   \
    uint64_t random;               \
    int fault = fate(&random);     \
    (void)random;                  \
    if (fault) return fault

static void *start(struct fuse_conn_info *connection, struct fuse_config *config) {
    (void)connection;
    config->use_ino = 1;
    // Each look at a file is a request, as it is when another machine may have changed it.
    config->entry_timeout = config->attr_timeout = config->negative_timeout = 0;
    printf("ready\n");
    fflush(stdout);
    return NULL;
}

static int get_attributes(const char *path, struct stat *st, struct fuse_file_info *info) {
    MAY_FAIL;
    if (info) return result(fstat((int)info->fh, st));
    return result(fstatat(options.source, below(path), st, AT_SYMLINK_NOFOLLOW));
}

static int read_link(const char *path, char *text, size_t size) {
    MAY_FAIL;
    ssize_t length = readlinkat(options.source, below(path), text, size - 1);
    if (length < 0) return -errno;
    text[length] = 0;
    return 0;
}

static int open_directory(const char *path, struct fuse_file_info *info) {
    MAY_FAIL;
    int fd = openat(options.source, below(path), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return -errno;
    DIR *stream = fdopendir(fd);
    if (!stream) {
        int code = errno;
        close(fd);
        return -code;
    }
    info->fh = (uintptr_t)stream;
    return 0;
}

static int read_directory(const char *path, void *buffer, fuse_fill_dir_t fill, off_t offset,
    struct fuse_file_info *info, enum fuse_readdir_flags flags) {
    (void)path, (void)offset, (void)flags;
    MAY_FAIL;
    DIR *stream = (DIR *)(uintptr_t)info->fh;
    rewinddir(stream);
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(stream);
        if (!entry) return -errno;
        struct stat st = {.st_ino = entry->d_ino, .st_mode = (mode_t)DTTOIF(entry->d_type)};
        if (fill(buffer, entry->d_name, &st, 0, 0)) return 0;
    }
}

static int close_directory(const char *path, struct fuse_file_info *info) {
    (void)path;
    closedir((DIR *)(uintptr_t)info->fh);
    return 0;
}

static int open_file(const char *path, struct fuse_file_info *info) {
    MAY_FAIL;
    if ((info->flags & O_ACCMODE) != O_RDONLY) return -EROFS;
    if (options.denied && !strcmp(below(path), options.denied)) return -options.denied_code;
    int fd = openat(options.source, below(path), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return -errno;
    info->fh = (uint64_t)fd;
    info->direct_io = !options.cached;
    return 0;
}

// Writes to the file behind the reader's back: its last byte, and with that its times.
static int change(const char *path) {
    int fd = openat(options.source, below(path), O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st)) return -1;
    char byte = 0;
    int done = pread(fd, &byte, 1, st.st_size - 1) == 1 && (byte++, pwrite(fd, &byte, 1, st.st_size - 1) == 1);
    close(fd);
    return done ? 0 : -1;
}

static int read_file(const char *path, char *bytes, size_t size, off_t offset, struct fuse_file_info *info) {
    MAY_FAIL;
    if (options.changing && offset > 0 && !strcmp(below(path), options.changing)) {
        if (atomic_fetch_sub(&changes_left, 1) > 0) {
            if (change(path)) return -EIO;
            atomic_fetch_add(&changes, 1);
        }
    }
    ssize_t got = pread((int)info->fh, bytes, size, offset);
    if (got > 0 && (int)(random % thousand) < options.short_share) {
        atomic_fetch_add(&shorts, 1);
        got = (ssize_t)((random >> 12) % (uint64_t)got);
    }
    return result(got);
}

static int close_file(const char *path, struct fuse_file_info *info) {
    (void)path;
    close((int)info->fh);
    return 0;
}

static off_t seek(const char *path, off_t offset, int whence, struct fuse_file_info *info) {
    (void)path;
    MAY_FAIL;
    off_t found = lseek((int)info->fh, offset, whence);
    return found < 0 ? -errno : found;
}

// The attribute calls take no directory descriptor, so they go by way of /proc.
static void proc_path(char *text, size_t size, const char *path) {
    snprintf(text, size, "/proc/self/fd/%d/%s", options.source, below(path));
}

static int list_attributes(const char *path, char *names, size_t size) {
    MAY_FAIL;
    char text[PATH_MAX + 64];
    proc_path(text, sizeof text, path);
    return result(llistxattr(text, names, size));
}

static int get_attribute(const char *path, const char *name, char *value, size_t size) {
    MAY_FAIL;
    char text[PATH_MAX + 64];
    proc_path(text, sizeof text, path);
    return result(lgetxattr(text, name, value, size));
}

static void finish(void *unused) {
    (void)unused;
    FILE *report = options.report ? fopen(options.report, "w") : NULL;
    if (!report) return;
    fprintf(report, "requests %lu\nshort %lu\nchanged %lu\n", requests, shorts, changes);
    for (int i = 0; i < options.fault_count; i++) fprintf(report, "%d %lu\n", options.faults[i].code, failed[i]);
    fclose(report);
}

static const struct fuse_operations operations = {
    .init = start, .destroy = finish, .getattr = get_attributes, .readlink = read_link,
    .opendir = open_directory, .readdir = read_directory, .releasedir = close_directory, .open = open_file,
    .read = read_file, .release = close_file, .lseek = seek, .listxattr = list_attributes,
    .getxattr = get_attribute,
};

static int usage(void) {
    fprintf(stderr, "usage: flaky-fs SOURCE MOUNTPOINT [--seed N] [--fail ERRNO:N]... [--short N] "
        "[--deny PATH:ERRNO] [--change PATH:N] [--cached] [--report FILE]\n");
    return 2;
}

static int parse(int count, char **words) {
    for (int i = 3; i < count; i++) {
        char *option = words[i], *value = i + 1 < count ? words[i + 1] : NULL, *colon;
        if (!strcmp(option, "--cached")) {
            options.cached = 1;
            continue;
        }
        if (!value) return -1;
        i++;
        colon = strrchr(value, ':');
        if (!strcmp(option, "--seed")) options.seed = strtoull(value, NULL, 10);
        else if (!strcmp(option, "--short")) options.short_share = atoi(value);
        else if (!strcmp(option, "--report")) options.report = value;
        else if (!strcmp(option, "--fail") && colon && options.fault_count < most_faults) {
            options.faults[options.fault_count].code = atoi(value);
            options.faults[options.fault_count++].share = atoi(colon + 1);
        } else if (!strcmp(option, "--deny") && colon) {
            *colon = 0;
            options.denied = value;
            options.denied_code = atoi(colon + 1);
        } else if (!strcmp(option, "--change") && colon) {
            *colon = 0;
            options.changing = value;
            changes_left = atoi(colon + 1);
        } else return -1;
    }
    return 0;
}

int main(int count, char **words) {
    options.seed = 1;
    if (count < 3 || parse(count, words)) return usage();
    options.source = open(words[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (options.source < 0) {
        perror(words[1]);
        return 1;
    }
    char *fuse_words[] = {words[0], words[2], "-f", "-o", "ro,fsname=flaky-fs,subtype=flaky", NULL};
    return fuse_main(5, fuse_words, &operations, NULL);
}

// What of the file system can be seen and changed. Each act stores what the kernel answered and says what it saw.
#define _GNU_SOURCE
#include "probe.h"

#include <dirent.h>
#include <errno.h>
#include <linux/fs.h>
#include <mqueue.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

// --- Files ---------------------------------------------------------------------------------------------------

// read,PATH: how many bytes can be read (at most 4096), and the first of them.
static void act_read(const struct act *act, struct outcome *outcome) {
    int fd = open(text_of(act, 1), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    store(outcome, fd);
    if (fd < 0) return;
    char bytes[4097];
    ssize_t n = read(fd, bytes, sizeof bytes - 1);
    store(outcome, n);
    if (n > 0) {
        bytes[n] = 0;
        say(outcome, "%.200s", bytes);
    }
}

// open,PATH,r|w|rw|a|t|path: an open for it, never a write.
static void act_open(const struct act *act, struct outcome *outcome) {
    const char *mode = text_of(act, 2);
    int flags = O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    if (strcmp(mode, "w") == 0) flags |= O_WRONLY;
    else if (strcmp(mode, "rw") == 0) flags |= O_RDWR;
    else if (strcmp(mode, "a") == 0) flags |= O_WRONLY | O_APPEND;
    else if (strcmp(mode, "t") == 0) flags |= O_RDWR | O_TRUNC;
    else if (strcmp(mode, "path") == 0) flags |= O_PATH;
    store(outcome, open(text_of(act, 1), flags));
}

// write,PATH,TEXT: writes the text to a file that exists.
static void act_write(const struct act *act, struct outcome *outcome) {
    int fd = open(text_of(act, 1), O_WRONLY | O_CLOEXEC);
    store(outcome, fd);
    if (fd >= 0) store(outcome, write(fd, text_of(act, 2), strlen(text_of(act, 2))));
}

// create,PATH: makes a file of its own there.
static void act_create(const struct act *act, struct outcome *outcome) {
    int fd = open(text_of(act, 1), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    store(outcome, fd);
    if (fd >= 0) unlink(text_of(act, 1));
}

// list,PATH: the names in a directory.
static void act_list(const struct act *act, struct outcome *outcome) {
    DIR *folder = opendir(text_of(act, 1));
    store(outcome, folder == NULL ? -1 : 0);
    if (folder == NULL) return;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            outcome->result++;
            say(outcome, "%s ", entry->d_name);
        }
    closedir(folder);
}

static void walk_writable(const char *path, int depth, struct outcome *outcome) {
    DIR *folder = opendir(path);
    if (folder == NULL) return;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char below[4096];
        if (entry->d_name[0] == '.') continue;
        snprintf(below, sizeof below, "%s/%s", path, entry->d_name);
        if (entry->d_type == DT_DIR && depth < 12) walk_writable(below, depth + 1, outcome);
        if (entry->d_type != DT_REG || faccessat(AT_FDCWD, below, W_OK, AT_EACCESS) != 0) continue;
        int fd = open(below, O_WRONLY | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0) continue;
        close(fd);
        outcome->result++;
        if (outcome->result <= 40) say(outcome, "%s ", below);
    }
    closedir(folder);
}

// writable,DIRECTORY: how many regular files below it can be opened for writing.
static void act_writable(const struct act *act, struct outcome *outcome) {
    walk_writable(text_of(act, 1), 0, outcome);
}

static void walk_devices(const char *path, int depth, struct outcome *outcome) {
    DIR *folder = opendir(path);
    if (folder == NULL) return;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char below[4096];
        struct stat about;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        snprintf(below, sizeof below, "%s/%s", path, entry->d_name);
        if (lstat(below, &about) != 0) continue;
        if (S_ISDIR(about.st_mode) && depth < 12) walk_devices(below, depth + 1, outcome);
        if (!S_ISCHR(about.st_mode) && !S_ISBLK(about.st_mode)) continue;
        outcome->result++;
        say(outcome, "%s=%c%u:%u ", below, S_ISCHR(about.st_mode) ? 'c' : 'b',
            (unsigned)(about.st_rdev >> 8 & 0xfff), (unsigned)(about.st_rdev & 0xff));
    }
    closedir(folder);
}

// devices,DIRECTORY: every device file below it, with its numbers.
static void act_devices(const struct act *act, struct outcome *outcome) {
    walk_devices(text_of(act, 1), 0, outcome);
}

// exe-write: opens the executable of every process for writing; tells how many could be.
static void act_exe_write(const struct act *act, struct outcome *outcome) {
    (void)act;
    DIR *folder = opendir("/proc");
    if (folder == NULL) return store(outcome, -1);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char path[300];
        if (strspn(entry->d_name, "0123456789") != strlen(entry->d_name) && strcmp(entry->d_name, "self") != 0)
            continue;
        snprintf(path, sizeof path, "/proc/%s/exe", entry->d_name);
        for (int truncate = 0; truncate < 2; truncate++) {
            int fd = open(path, O_WRONLY | O_CLOEXEC | (truncate ? O_APPEND : 0));
            int error = errno;
            if (fd >= 0) outcome->result++, close(fd);
            say(outcome, "%s=%s ", entry->d_name, fd >= 0 ? "OPEN" : strerrorname_np(error));
        }
    }
    closedir(folder);
}

// handle,PATH: file handle of PATH, then an open by that handle ("shocker").
static void act_handle(const struct act *act, struct outcome *outcome) {
    struct file_handle *handle = calloc(1, sizeof *handle + MAX_HANDLE_SZ);
    handle->handle_bytes = MAX_HANDLE_SZ;
    int mount_id, folder = open(text_of(act, 1), O_RDONLY | O_CLOEXEC);
    if (name_to_handle_at(AT_FDCWD, text_of(act, 1), handle, &mount_id, 0) != 0) {
        store(outcome, -1);
        say(outcome, "name_to_handle_at");
        return;
    }
    store(outcome, open_by_handle_at(folder, handle, O_RDONLY | O_CLOEXEC));
}

// flags,PATH,FLAGS: FS_IOC_SETFLAGS on a file made at PATH.
static void act_flags(const struct act *act, struct outcome *outcome) {
    int fd = open(text_of(act, 1), O_RDWR | O_CREAT | O_CLOEXEC, 0644), flags = (int)number_of(act, 2), zero = 0;
    if (fd < 0) return store(outcome, -1);
    store(outcome, ioctl(fd, FS_IOC_SETFLAGS, &flags));
    if (outcome->result == 0) ioctl(fd, FS_IOC_SETFLAGS, &zero);
    unlink(text_of(act, 1));
}

// project,PATH,ID: FS_IOC_FSSETXATTR with a project id on a file made at PATH.
static void act_project(const struct act *act, struct outcome *outcome) {
    int fd = open(text_of(act, 1), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    struct fsxattr about = { .fsx_projid = (uint32_t)number_of(act, 2) };
    if (fd < 0) return store(outcome, -1);
    store(outcome, ioctl(fd, FS_IOC_FSSETXATTR, &about));
    unlink(text_of(act, 1));
}

// fill,PATH,LIMIT: writes to a file until refused or LIMIT is reached; the result is what was written.
static void act_fill(const struct act *act, struct outcome *outcome) {
    size_t limit = (size_t)number_of(act, 2), done = 0, piece = 1 << 20;
    char *bytes = calloc(1, piece);
    int fd = open(text_of(act, 1), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return store(outcome, -1);
    signal(SIGXFSZ, SIG_IGN);
    while (done < limit) {
        ssize_t n = write(fd, bytes, piece);
        if (n <= 0) {
            outcome->error = n < 0 ? errno : 0;
            break;
        }
        done += (size_t)n;
    }
    outcome->result = (long)done;
    close(fd);
    unlink(text_of(act, 1));
}

// inodes,DIRECTORY,LIMIT: makes empty files until refused; the result is how many.
static void act_inodes(const struct act *act, struct outcome *outcome) {
    long limit = number_of(act, 2), made = 0;
    int folder = open(text_of(act, 1), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char name[32];
    for (; made < limit; made++) {
        snprintf(name, sizeof name, "inode-%ld", made);
        int fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0) {
            outcome->error = errno;
            break;
        }
        close(fd);
    }
    outcome->result = made;
    for (long i = 0; i < made; i++) {
        snprintf(name, sizeof name, "inode-%ld", i);
        unlinkat(folder, name, 0);
    }
}

const struct named_act acts_files[] = {
    { "read", act_read },
    { "write", act_write },
    { "open", act_open },
    { "create", act_create },
    { "list", act_list },
    { "writable", act_writable },
    { "devices", act_devices },
    { "exe-write", act_exe_write },
    { "handle", act_handle },
    { "flags", act_flags },
    { "project", act_project },
    { "fill", act_fill },
    { "inodes", act_inodes },
    { NULL, NULL },
};

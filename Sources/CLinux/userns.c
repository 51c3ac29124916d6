// Between clone and the end of the child nothing may allocate or take locks, see spawn.c.
#define _GNU_SOURCE
#include "userns.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int write_file(pid_t pid, const char *name, const char *text) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    ssize_t wrote = write(fd, text, strlen(text));
    int code = wrote < 0 ? errno : EIO;
    close(fd);
    errno = code;
    return wrote == (ssize_t)strlen(text) ? 0 : -1;
}

static int write_map(pid_t pid, const char *name, unsigned inside, unsigned outside) {
    char line[40];
    snprintf(line, sizeof line, "%u %u 1\n", inside, outside);
    return write_file(pid, name, line);
}

static int map_and_open(pid_t pid, uid_t uid_inside, uid_t uid_outside, gid_t gid_inside, gid_t gid_outside) {
    char path[64];
    if (write_file(pid, "setgroups", "deny")) return -1;
    if (write_map(pid, "uid_map", uid_inside, uid_outside)) return -1;
    if (write_map(pid, "gid_map", gid_inside, gid_outside)) return -1;
    snprintf(path, sizeof path, "/proc/%d/ns/user", pid);
    return open(path, O_RDONLY | O_CLOEXEC);
}

int box_user_namespace(uid_t uid_inside, uid_t uid_outside, gid_t gid_inside, gid_t gid_outside) {
    sigset_t all, before;
    pid_t parent = getpid();
    sigfillset(&all);
    // The child keeps all signals blocked, so only SIGKILL ends it. No exit signal: the caller's own children
    // are not confused with this one.
    sigprocmask(SIG_SETMASK, &all, &before);
    pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWUSER, 0, 0, 0, 0);
    if (pid == 0) {
        if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) || getppid() != parent) _exit(1);
        for (;;) pause();
    }
    int code = errno, fd = -1;
    if (pid > 0) {
        fd = map_and_open(pid, uid_inside, uid_outside, gid_inside, gid_outside);
        code = errno;
        kill(pid, SIGKILL);
        pid_t ended;
        do ended = waitpid(pid, 0, __WALL); while (ended < 0 && errno == EINTR);
    }
    sigprocmask(SIG_SETMASK, &before, 0);
    errno = code;
    return fd;
}

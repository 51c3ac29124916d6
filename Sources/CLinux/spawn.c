// The code between clone3 and execveat. It may not allocate, take locks or touch the Swift runtime.
#define _GNU_SOURCE
#include "clinux.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static void fail(int error_fd) {
    int32_t code = errno;
    if (write(error_fd, &code, sizeof code) < 0) _exit(124);
    _exit(125);
}

// A process that is not uid 0 in its namespace loses its capabilities at exec unless they are ambient.
static int keep_capabilities(void) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    if (syscall(SYS_capget, &header, data)) return -1;
    data[0].inheritable = data[0].permitted;
    data[1].inheritable = data[1].permitted;
    if (syscall(SYS_capset, &header, data)) return -1;
    for (int cap = 0; cap < 64; cap++) {
        if (!(data[cap / 32].permitted & (1u << (cap % 32)))) continue;
        if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0)) return -1;
    }
    return 0;
}

static void child(const struct box_spawn_plan *plan) {
    char go = 0;
    ssize_t got;
    // Until the supervisor has written the id maps this process has no valid id of its own.
    do got = read(plan->go_fd, &go, 1); while (got < 0 && errno == EINTR);
    if (got != 1) _exit(125);
    if ((plan->clone_flags & CLONE_NEWUSER) && keep_capabilities()) fail(plan->error_fd);

    struct sigaction standard = {.sa_handler = SIG_DFL};
    for (int signal = 1; signal < 65; signal++) sigaction(signal, &standard, 0);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, 0);

    // First out of the way (above all targets), then to 3, 4, 5 …, so that no source is overwritten.
    int count = plan->inherit_count, moved[64];
    if (count > 64) { errno = E2BIG; fail(plan->error_fd); }
    int least = 3 + count;
    for (int i = 0; i < count; i++)
        if ((moved[i] = fcntl(plan->inherit[i], F_DUPFD_CLOEXEC, least)) < 0) fail(plan->error_fd);
    int error_fd = fcntl(plan->error_fd, F_DUPFD_CLOEXEC, least);
    int executable_fd = fcntl(plan->executable_fd, F_DUPFD_CLOEXEC, least);
    if (error_fd < 0 || executable_fd < 0) fail(plan->error_fd);
    for (int i = 0; i < count; i++)
        if (dup2(moved[i], 3 + i) < 0) fail(error_fd);
    if (syscall(SYS_close_range, least, ~0u, 4 /* CLOSE_RANGE_CLOEXEC */)) fail(error_fd);
    syscall(SYS_execveat, executable_fd, "", plan->arguments, plan->environment, AT_EMPTY_PATH);
    fail(error_fd);
}

pid_t box_spawn(const struct box_spawn_plan *plan, int *pidfd) {
    struct clone_args args;
    memset(&args, 0, sizeof args);
    args.flags = plan->clone_flags | CLONE_PIDFD;
    args.pidfd = (uint64_t)(uintptr_t)pidfd;
    args.exit_signal = SIGCHLD;
    size_t size = CLONE_ARGS_SIZE_VER0;
    if (plan->cgroup_fd >= 0) {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = (uint64_t)plan->cgroup_fd;
        size = CLONE_ARGS_SIZE_VER2;
    }
    sigset_t all, before;
    sigfillset(&all);
    // No handler of the parent may run in the child.
    sigprocmask(SIG_SETMASK, &all, &before);
    pid_t pid = (pid_t)syscall(SYS_clone3, &args, size);
    if (pid == 0) child(plan);
    int code = errno;
    sigprocmask(SIG_SETMASK, &before, 0);
    errno = code;
    return pid;
}

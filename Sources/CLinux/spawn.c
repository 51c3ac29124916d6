// The code between clone3 or vfork and what comes after. It may not allocate, take locks or touch the Swift runtime.
#define _GNU_SOURCE
#include "clinux.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
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

// The arguments and the environment as the kernel laid them out: one after the other. A copy of this process that goes
// on under another name has no use for the user's.
static void forget_user(void) {
    char *start = program_invocation_name, *end = start + strlen(start) + 1;
    for (char **entry = environ; entry && *entry; entry++)
        if (*entry > start && *entry + strlen(*entry) + 1 > end) end = *entry + strlen(*entry) + 1;
    static char *none[] = {0};
    environ = none;
    memset(start, 0, (size_t)(end - start));
    if (end - start >= 11) memcpy(start, "box\0__init", 11);
}

static void standard_signals(void) {
    struct sigaction standard = {.sa_handler = SIG_DFL};
    for (int signal = 1; signal < 65; signal++) sigaction(signal, &standard, 0);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, 0);
}

static void child(const struct box_spawn_plan *plan) {
    if (plan->go_fd >= 0) {
        char go = 0;
        ssize_t got;
        do got = read(plan->go_fd, &go, 1); while (got < 0 && errno == EINTR);
        if (got != 1) _exit(125);
    }
    if (!plan->entry && (plan->clone_flags & CLONE_NEWUSER) && keep_capabilities()) fail(plan->error_fd);
    standard_signals();

    for (int target = 0; plan->stream_fd >= 0 && target < 3; target++)
        if (dup2(plan->stream_fd, target) < 0) fail(plan->error_fd);
    // First out of the way (above all targets), then to 3, 4, 5 …, so that no source is overwritten.
    int count = plan->inherit_count, moved[64];
    if (count > 64) { errno = E2BIG; fail(plan->error_fd); }
    int least = 3 + count;
    for (int i = 0; i < count; i++)
        if ((moved[i] = fcntl(plan->inherit[i], F_DUPFD_CLOEXEC, least)) < 0) fail(plan->error_fd);
    int error_fd = fcntl(plan->error_fd, F_DUPFD_CLOEXEC, least);
    if (error_fd < 0) fail(plan->error_fd);
    int executable_fd = plan->entry ? -1 : fcntl(plan->executable_fd, F_DUPFD_CLOEXEC, least);
    if (!plan->entry && executable_fd < 0) fail(plan->error_fd);
    for (int i = 0; i < count; i++)
        if (dup2(moved[i], 3 + i) < 0) fail(error_fd);
    if (plan->entry) {
        if (syscall(SYS_close_range, least, ~0u, 0)) fail(error_fd);
        forget_user();
        plan->entry();
        _exit(125);
    }
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

// The register behind the arguments of execve tells who listens to it which candidate this is (-1: the shell): nobody
// may look into the memory of a copy of process 1.
static void execute_as(const char *path, char *const *arguments, char *const *environment, long which) {
    syscall(SYS_execve, path, arguments, environment, which);
}

static void execute(const struct box_command *command) {
    int worst = ENOENT;
    for (char *const *candidate = command->candidates; *candidate; candidate++) {
        execute_as(*candidate, command->arguments, command->environment, candidate - command->candidates);
        if (errno == ENOEXEC) {
            // A text without an interpreter line is for the shell.
            size_t count = 1;
            while (command->arguments[count]) count++;
            char *script[count + 2];
            script[0] = "sh";
            script[1] = *candidate;
            for (size_t i = 1; i <= count; i++) script[i + 1] = command->arguments[i];
            execute_as("/bin/sh", script, command->environment, -1);
            return;
        }
        if (errno == EACCES) worst = EACCES;
        else if (errno != ENOENT && errno != ENOTDIR) return;
    }
    errno = worst;
}

// In the child. Returns only if the program does not run.
static void become(const struct box_command *command) {
    if (command->begins_session) {
        if (setsid() < 0 || ioctl(command->streams[0], TIOCSCTTY, 0)) return;
    } else {
        setpgid(0, 0);
    }
    if (command->takes_terminal) {
        // A group in the background that takes the foreground gets SIGTTOU, unless it is blocked.
        tcsetpgrp(command->streams[0], getpid());
    }
    for (int target = 0; target < 3; target++)
        if (dup2(command->streams[target], target) < 0) return;
    if (!command->keeps_descriptors && syscall(SYS_close_range, 3, ~0u, 4 /* CLOSE_RANGE_CLOEXEC */)) return;
    if (command->directory && chdir(command->directory)) {
        errno |= BOX_DIRECTORY_FAILED;
        return;
    }
    standard_signals();
    execute(command);
}

pid_t box_begin_command(const struct box_command *command) {
    sigset_t all, before;
    sigfillset(&all);
    // No handler of the parent may run in the child.
    sigprocmask(SIG_SETMASK, &all, &before);
    pid_t pid = fork();
    if (pid == 0) {
        become(command);
        int32_t code = errno;
        if (write(command->failure_fd, &code, sizeof code) < 0) _exit(126);
        _exit(127);
    }
    int code = errno;
    sigprocmask(SIG_SETMASK, &before, 0);
    errno = code;
    return pid;
}

pid_t box_start_command(const struct box_command *command) {
    sigset_t all, before;
    sigfillset(&all);
    // No handler may run while the memory is shared.
    sigprocmask(SIG_SETMASK, &all, &before);
    volatile int code = 0;
    pid_t pid = vfork();
    if (pid == 0) {
        become(command);
        code = errno;
        _exit(127);
    }
    if (pid < 0) code = errno;
    sigprocmask(SIG_SETMASK, &before, 0);
    errno = code;
    return code ? -1 : pid;
}

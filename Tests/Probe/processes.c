// Descriptors, processes, limits, capabilities and ids. Each act stores what the kernel answered and says what it saw.
#define _GNU_SOURCE
#include "probe.h"

#include <dirent.h>
#include <errno.h>
#include <linux/capability.h>
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

// --- Descriptors and processes -------------------------------------------------------------------------------

// fds: the open descriptors of the process that printed this, without those of the probe itself.
static void act_fds(const struct act *act, struct outcome *outcome) {
    (void)act;
    char path[64], target[512];
    int listing = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fdopendir(listing);
    if (folder == NULL) return store(outcome, -1);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        int fd = atoi(entry->d_name);
        if (entry->d_name[0] == '.' || fd == listing) continue;
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        ssize_t n = readlink(path, target, sizeof target - 1);
        target[n < 0 ? 0 : n] = 0;
        outcome->result++;
        say(outcome, "%d=%s ", fd, target);
    }
    closedir(folder);
}

// clone,FLAGS: a raw clone of those flags; a child that comes of it ends at once.
static void act_clone(const struct act *act, struct outcome *outcome) {
    long child = syscall(SYS_clone, (unsigned long)number_of(act, 1) | SIGCHLD, 0, 0, 0, 0);
    if (child == 0) _exit(0);
    store(outcome, child);
    if (child > 0) waitpid((pid_t)child, NULL, 0);
}

// clone3,FLAGS: the same by clone3.
static void act_clone3(const struct act *act, struct outcome *outcome) {
    uint64_t arguments[11] = { [0] = (uint64_t)number_of(act, 1), [4] = SIGCHLD };
    long child = syscall(SYS_clone3, arguments, sizeof arguments);
    if (child == 0) _exit(0);
    store(outcome, child);
    if (child > 0) waitpid((pid_t)child, NULL, 0);
}

// setns,NAME: joins the namespace it is in already.
static void act_setns(const struct act *act, struct outcome *outcome) {
    char path[64];
    snprintf(path, sizeof path, "/proc/self/ns/%s", text_of(act, 1));
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    store(outcome, fd);
    if (fd >= 0) store(outcome, setns(fd, 0));
}

// getfd,PID: descriptor 0 of another process by pidfd_getfd.
static void act_getfd(const struct act *act, struct outcome *outcome) {
    pid_t pid = strcmp(text_of(act, 1), "self") == 0 ? getpid() : (pid_t)number_of(act, 1);
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    store(outcome, pidfd);
    if (pidfd >= 0) store(outcome, syscall(SYS_pidfd_getfd, pidfd, 0, 0));
}

// vm-read,PID: reads the other process's memory where this one has its own stack.
static void act_vm_read(const struct act *act, struct outcome *outcome) {
    pid_t pid = strcmp(text_of(act, 1), "self") == 0 ? getpid() : (pid_t)number_of(act, 1);
    char from[8], into[8];
    struct iovec local = { into, sizeof into }, remote = { from, sizeof from };
    store(outcome, syscall(SYS_process_vm_readv, pid, &local, 1, &remote, 1, 0));
}

// trace-child: traces a child of its own, as debuggers do.
static void act_trace_child(const struct act *act, struct outcome *outcome) {
    (void)act;
    pid_t child = fork();
    if (child == 0) {
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        raise(SIGSTOP);
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    store(outcome, ptrace(PTRACE_CONT, child, 0, 0));
    waitpid(child, &status, 0);
}

static void *idle_thread(void *argument) { return argument; }

// threads,COUNT: starts and joins that many threads.
static void act_threads(const struct act *act, struct outcome *outcome) {
    long wanted = number_of(act, 1), made = 0;
    pthread_t *threads = calloc((size_t)wanted, sizeof *threads);
    for (; made < wanted; made++)
        if ((outcome->error = pthread_create(&threads[made], NULL, idle_thread, NULL)) != 0) break;
    for (long i = 0; i < made; i++) pthread_join(threads[i], NULL);
    outcome->result = made;
}

// forks,COUNT: keeps up to that many children alive at once, then ends them; the result is how many there were.
static void act_forks(const struct act *act, struct outcome *outcome) {
    long wanted = number_of(act, 1), made = 0;
    pid_t *children = calloc((size_t)wanted, sizeof *children);
    for (; made < wanted; made++) {
        children[made] = fork();
        if (children[made] == 0)
            for (;;) pause();
        if (children[made] < 0) {
            outcome->error = errno;
            break;
        }
    }
    for (long i = 0; i < made; i++) kill(children[i], SIGKILL);
    for (long i = 0; i < made; i++) waitpid(children[i], NULL, 0);
    outcome->result = made;
}

// orphans,COUNT: leaves that many grandchildren to pid 1; the result is how many are zombies when all have ended.
static void act_orphans(const struct act *act, struct outcome *outcome) {
    for (long i = 0; i < number_of(act, 1); i++) {
        pid_t child = fork();
        if (child == 0) {
            setsid();
            _exit(fork() < 0);
        }
        int status = 1;
        if (child < 0 || waitpid(child, &status, 0) < 0 || status != 0) return store(outcome, -1);
    }
    for (int tries = 0; tries < 2000; tries++) {
        outcome->result = 0;
        DIR *folder = opendir("/proc");
        for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
            char path[300], text[300] = "";
            snprintf(path, sizeof path, "/proc/%s/stat", entry->d_name);
            int fd = open(path, O_RDONLY | O_CLOEXEC);
            ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
            if (fd >= 0) close(fd);
            const char *end = n > 0 ? strrchr(text, ')') : NULL;
            if (end != NULL && end[2] == 'Z') outcome->result++;
        }
        closedir(folder);
        if (outcome->result == 0) return;
        poll(NULL, 0, 5);
    }
}

// memory,BYTES: touches that much memory.
static void act_memory(const struct act *act, struct outcome *outcome) {
    size_t size = (size_t)number_of(act, 1);
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    store(outcome, memory == MAP_FAILED ? -1 : 0);
    if (memory == MAP_FAILED) return;
    for (size_t at = 0; at < size; at += 4096) memory[at] = 1;
    outcome->result = (long)(size >> 20);
}

// descriptors: opens until refused; the result is how many were open.
static void act_descriptors(const struct act *act, struct outcome *outcome) {
    long most = number_of(act, 1), made = 0;
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    say(outcome, "soft=%lu hard=%lu", (unsigned long)limit.rlim_cur, (unsigned long)limit.rlim_max);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    for (; made < most; made++)
        if (open("/dev/null", O_RDONLY | O_CLOEXEC) < 0) {
            outcome->error = errno;
            break;
        }
    outcome->result = made;
}

// limit,RESOURCE,lower|raise: a new hard limit one below or one above the present.
static void act_limit(const struct act *act, struct outcome *outcome) {
    struct rlimit limit;
    int resource = (int)number_of(act, 1);
    getrlimit(resource, &limit);
    say(outcome, "%lu", (unsigned long)limit.rlim_max);
    int raise = strcmp(text_of(act, 2), "raise") == 0;
    if (raise && limit.rlim_max != RLIM_INFINITY) limit.rlim_max++;
    if (!raise && limit.rlim_max > 0) limit.rlim_max = limit.rlim_max == RLIM_INFINITY ? 1 << 20 : limit.rlim_max - 1;
    if (limit.rlim_cur > limit.rlim_max) limit.rlim_cur = limit.rlim_max;
    store(outcome, syscall(SYS_prlimit64, 0, resource, &limit, NULL));
}

// --- Identity ------------------------------------------------------------------------------------------------

// gain: asks for every capability.
static void act_gain(const struct act *act, struct outcome *outcome) {
    (void)act;
    struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
    struct __user_cap_data_struct data[2] = { { ~0u, ~0u, 0 }, { 0x1ff, 0x1ff, 0 } };
    if (syscall(SYS_capset, &header, data) == 0) return store(outcome, 0);
    store(outcome, -1);
    memset(data, 0, sizeof data);
    data[0].effective = data[0].permitted = 1u << CAP_SYS_ADMIN;
    store(outcome, syscall(SYS_capset, &header, data));
}

// groups: the supplementary groups.
static void act_groups(const struct act *act, struct outcome *outcome) {
    (void)act;
    gid_t groups[256];
    int count = getgroups(256, groups);
    store(outcome, count);
    for (int i = 0; i < count; i++) say(outcome, "%u ", groups[i]);
}

// setuid-copy,PATH: runs the set-uid copy of this program at PATH; the result is its effective uid.
static void act_setuid_copy(const struct act *act, struct outcome *outcome) {
    pid_t child = fork();
    if (child == 0) {
        execl(text_of(act, 1), "probe", "--effective", (char *)NULL);
        _exit(255);
    }
    int status = 0;
    waitpid(child, &status, 0);
    outcome->result = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

const struct named_act acts_processes[] = {
    { "orphans", act_orphans },
    { "fds", act_fds },
    { "clone", act_clone },
    { "clone3", act_clone3 },
    { "setns", act_setns },
    { "getfd", act_getfd },
    { "vm-read", act_vm_read },
    { "trace-child", act_trace_child },
    { "threads", act_threads },
    { "forks", act_forks },
    { "memory", act_memory },
    { "descriptors", act_descriptors },
    { "limit", act_limit },
    { "gain", act_gain },
    { "groups", act_groups },
    { "setuid-copy", act_setuid_copy },
    { NULL, NULL },
};

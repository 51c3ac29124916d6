// probe: tries what a sandbox must refuse, and prints what the kernel answered.
//
//   probe ACT…                  each act in a child of its own, one line of JSON each
//   probe --bare ACT…           the same with full capabilities in fresh namespaces: the control
//   probe --file FILE           the acts of a file, one a line
//
// An act is a name and its words, separated by commas. The general one is
//   call,NAME|NUMBER,ARG…       any system call; an ARG is a number, @text, *SIZE (a zeroed buffer), %path (an open
//                               descriptor), self or parent (a process id)
// The others are in files.c, processes.c, sockets.c and kernel.c.
#define _GNU_SOURCE
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAMED(name) { #name, SYS_##name }
static const struct { const char *name; long number; } calls[] = {
    NAMED(mount), NAMED(umount2), NAMED(pivot_root), NAMED(chroot), NAMED(unshare), NAMED(setns),
    NAMED(open_tree), NAMED(move_mount), NAMED(fsopen), NAMED(fsconfig), NAMED(fsmount), NAMED(fspick),
    NAMED(mount_setattr), NAMED(sethostname), NAMED(setdomainname), NAMED(ioctl), NAMED(io_uring_setup),
    NAMED(io_uring_enter), NAMED(io_uring_register), NAMED(add_key), NAMED(request_key), NAMED(keyctl),
    NAMED(bpf), NAMED(perf_event_open), NAMED(userfaultfd), NAMED(fanotify_init), NAMED(fanotify_mark),
    NAMED(kcmp), NAMED(process_madvise), NAMED(pidfd_getfd), NAMED(process_vm_readv),
    NAMED(process_vm_writev), NAMED(kexec_load), NAMED(init_module), NAMED(finit_module),
    NAMED(delete_module), NAMED(reboot), NAMED(swapon), NAMED(swapoff), NAMED(acct), NAMED(quotactl),
    NAMED(quotactl_fd), NAMED(settimeofday), NAMED(clock_settime), NAMED(adjtimex), NAMED(clock_adjtime),
    NAMED(syslog), NAMED(vhangup), NAMED(open_by_handle_at), NAMED(name_to_handle_at), NAMED(personality),
    NAMED(mbind), NAMED(set_mempolicy), NAMED(get_mempolicy), NAMED(migrate_pages), NAMED(move_pages),
    NAMED(prlimit64), NAMED(prctl), NAMED(mknodat), NAMED(ptrace), NAMED(openat), NAMED(capset),
    NAMED(setgroups), NAMED(setuid), NAMED(setgid), NAMED(setresuid), NAMED(socket), NAMED(socketpair),
    NAMED(kill), NAMED(truncate), NAMED(linkat), NAMED(unlinkat), NAMED(renameat2), NAMED(mkdirat),
    NAMED(fchmodat), NAMED(fchownat), NAMED(utimensat), NAMED(setxattr), NAMED(symlinkat), NAMED(getpid),
    NAMED(getppid), NAMED(memfd_secret), NAMED(pidfd_open), NAMED(shmget), NAMED(msgget), NAMED(semget),
    NAMED(setpriority), NAMED(sched_setscheduler), NAMED(lookup_dcookie), NAMED(vmsplice),
    NAMED(kexec_file_load), NAMED(landlock_create_ruleset), NAMED(seccomp), NAMED(nfsservctl),
    NAMED(mlockall), NAMED(chdir), NAMED(readlinkat), NAMED(faccessat), NAMED(fchmod), NAMED(getrandom),
    NAMED(memfd_create), NAMED(clone3), NAMED(execveat), NAMED(set_mempolicy_home_node), NAMED(capget),
#ifdef __x86_64__
    NAMED(iopl), NAMED(ioperm), NAMED(modify_ldt), NAMED(uselib), NAMED(ustat), NAMED(sysfs),
    NAMED(_sysctl), NAMED(create_module), NAMED(get_kernel_syms), NAMED(query_module), NAMED(arch_prctl),
    NAMED(setrlimit), NAMED(mknod), NAMED(time),
#endif
};

void say(struct outcome *outcome, const char *format, ...) {
    size_t used = strlen(outcome->detail);
    va_list list;
    va_start(list, format);
    vsnprintf(outcome->detail + used, sizeof outcome->detail - used, format, list);
    va_end(list);
}

void store(struct outcome *outcome, long result) {
    outcome->error = result == -1 ? errno : 0;
    outcome->result = result;
}

long number_of(const struct act *act, int index) {
    return index < act->count ? (long)strtoull(act->words[index], NULL, 0) : 0;
}

const char *text_of(const struct act *act, int index) { return index < act->count ? act->words[index] : ""; }

static int run_named(const struct act *act, struct outcome *outcome) {
    static const struct named_act *const tables[] = { acts_files, acts_processes, acts_sockets, acts_kernel };
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        for (const struct named_act *at = tables[i]; at->name != NULL; at++)
            if (strcmp(at->name, act->words[0]) == 0) {
                at->run(act, outcome);
                return 1;
            }
    return 0;
}

static long call_number(const char *word) {
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (strcmp(calls[i].name, word) == 0) return calls[i].number;
    char *end;
    long number = strtol(word, &end, 0);
    if (*end != 0) {
        fprintf(stderr, "probe: no system call named %s\n", word);
        exit(2);
    }
    return number;
}

static long argument(const char *word) {
    switch (*word) {
    case '@': return (long)(word + 1);
    case '*': return (long)calloc(1, strtoul(word + 1, NULL, 0));
    case '%': return open(word + 1, O_RDONLY | O_CLOEXEC);
    default: break;
    }
    if (strcmp(word, "self") == 0) return getpid();
    if (strcmp(word, "parent") == 0) return getppid();
    return (long)strtoull(word, NULL, 0);
}

// Whether this process could change the machine itself: capable in the first user namespace.
static int could_harm_host(void) {
    char map[128] = "";
    struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
    struct __user_cap_data_struct data[2];
    int fd = open("/proc/self/uid_map", O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, map, sizeof map - 1);
    close(fd);
    if (n > 0 && strstr(map, "4294967295") == NULL) return 0;
    return syscall(SYS_capget, &header, data) != 0 || data[0].effective != 0 || data[1].effective != 0;
}

// The calls that would change the machine where nothing refuses them: never made with power over the host.
static void refuse_on_host(const char *name) {
    static const char *const harmful[] = {
        "mount", "umount2", "pivot_root", "chroot", "sethostname", "setdomainname", "vhangup", "swapoff",
        "move_mount", "mount_setattr", "fsmount", "fsconfig",
    };
    for (size_t i = 0; i < sizeof harmful / sizeof *harmful; i++)
        if (strcmp(harmful[i], name) == 0 && could_harm_host()) {
            fprintf(stderr, "probe: %s is not tried with power over the host\n", name);
            exit(4);
        }
}

static void general_call(const struct act *act, struct outcome *outcome) {
    long values[6] = {0};
    refuse_on_host(act->words[1]);
    for (int i = 2; i < act->count && i < 8; i++) values[i - 2] = argument(act->words[i]);
    long number = call_number(act->words[1]);
    store(outcome, syscall(number, values[0], values[1], values[2], values[3], values[4], values[5]));
}

void run_text(const char *text, struct outcome *outcome) {
    struct act act = {0};
    char *copy = strdup(text), *rest = copy, *word;
    while ((word = strsep(&rest, ",")) != NULL && act.count < 16) act.words[act.count++] = word;
    if (strcmp(act.words[0], "call") == 0) {
        general_call(&act, outcome);
    } else if (!run_named(&act, outcome)) {
        fprintf(stderr, "probe: no act named %s\n", act.words[0]);
        exit(2);
    }
}

static void print_text(const char *text) {
    putchar('"');
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (*c == '"' || *c == '\\') printf("\\%c", *c);
        else if (*c < 0x20 || *c >= 0x7f) printf("\\u%04x", *c);
        else putchar(*c);
    }
    putchar('"');
}

static void print_outcome(const char *text, const struct outcome *outcome, int status) {
    printf("{\"act\":");
    print_text(text);
    if (WIFSIGNALED(status)) {
        printf(",\"signal\":\"SIG%s\"}\n", sigabbrev_np(WTERMSIG(status)));
        return;
    }
    if (WEXITSTATUS(status) != 0) {
        printf(",\"broken\":%d}\n", WEXITSTATUS(status));
        return;
    }
    const char *name = outcome->error ? strerrorname_np(outcome->error) : "0";
    printf(",\"result\":%ld,\"errno\":\"%s\",\"detail\":", outcome->result, name ? name : "?");
    print_text(outcome->detail);
    printf("}\n");
}

// Whether the acts are the control's, in namespaces of their own.
static int bare = 0;

// An act may kill its process, change it for good or hang: it has a child and 60 seconds of its own.
static void attempt(const char *text) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) exit(2);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        alarm(60);
        // One act's mounts are not there for the next one.
        if (bare && unshare(CLONE_NEWNS) != 0) _exit(3);
        static struct outcome outcome;
        run_text(text, &outcome);
        const char *bytes = (const char *)&outcome;
        for (size_t done = 0; done < sizeof outcome;) {
            ssize_t n = write(ends[1], bytes + done, sizeof outcome - done);
            if (n <= 0) _exit(3);
            done += (size_t)n;
        }
        _exit(0);
    }
    close(ends[1]);
    static struct outcome outcome;
    memset(&outcome, 0, sizeof outcome);
    if (child < 0) {
        outcome.result = -1;
        outcome.error = errno;
        print_outcome(text, &outcome, 0);
        return;
    }
    char *into = (char *)&outcome;
    size_t have = 0;
    for (ssize_t n; have < sizeof outcome && (n = read(ends[0], into + have, sizeof outcome - have)) > 0;)
        have += (size_t)n;
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && have != sizeof outcome) status = 3 << 8;
    print_outcome(text, &outcome, status);
    fflush(stdout);
}

static int write_file(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    ssize_t n = write(fd, text, strlen(text));
    close(fd);
    return n == (ssize_t)strlen(text) ? 0 : -1;
}

// Fresh namespaces with every capability and nothing else: what an act meets where no box is.
static int enter_bare(void) {
    char map[64];
    uid_t user = geteuid();
    gid_t group = getegid();
    int flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;
    if (unshare(flags) != 0) return -1;
    if (write_file("/proc/self/setgroups", "deny") != 0) return -1;
    snprintf(map, sizeof map, "0 %u 1", user);
    if (write_file("/proc/self/uid_map", map) != 0) return -1;
    snprintf(map, sizeof map, "0 %u 1", group);
    if (write_file("/proc/self/gid_map", map) != 0) return -1;
    pid_t child = fork();
    if (child != 0) {
        int status = 1;
        if (child > 0) waitpid(child, &status, 0);
        _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    // A change of ids made this process undumpable; that would look like a protection.
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) return -1;
    if (mount("proc", "/proc", "proc", 0, NULL) != 0) return -1;
    // Every address is this namespace's own: a connection goes nowhere, but it is not "unreachable".
    return system("PATH=/usr/sbin:/sbin:/usr/bin:/bin; ip link set lo up && ip route add local default dev lo && "
                  "ip -6 route add local default dev lo") == 0
               ? 0
               : -1;
}

static int attempt_file(const char *path) {
    FILE *file = fopen(path, "re");
    if (file == NULL) return 2;
    char *line = NULL;
    size_t room = 0;
    while (getline(&line, &room, file) > 0) {
        line[strcspn(line, "\n")] = 0;
        if (*line) attempt(line);
    }
    fclose(file);
    return 0;
}

int main(int count, char **words) {
    int first = 1;
    // What a set-uid copy of this program is asked for (setuid-copy): one byte is enough to tell uids apart.
    if (count > 1 && strcmp(words[1], "--effective") == 0) return (int)(geteuid() & 0x7f);
    if (count > 1 && strcmp(words[1], "--bare") == 0) {
        if (enter_bare() != 0) {
            fprintf(stderr, "probe: no bare namespaces: %s\n", strerror(errno));
            return 3;
        }
        first = 2;
        bare = 1;
    }
    if (first + 1 < count && strcmp(words[first], "--file") == 0) return attempt_file(words[first + 1]);
    for (int i = first; i < count; i++) attempt(words[i]);
    return 0;
}

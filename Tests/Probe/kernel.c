// Terminals, filters on filters, foreign and unknown calls. Each act stores what the kernel answered and says what it saw.
#define _GNU_SOURCE
#include "probe.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <mqueue.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

// --- Terminals -----------------------------------------------------------------------------------------------

static int new_terminal(int *master) {
    *master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (*master < 0 || grantpt(*master) != 0 || unlockpt(*master) != 0) return -1;
    return open(ptsname(*master), O_RDWR | O_NOCTTY | O_CLOEXEC);
}

// pty-ioctl,REQUEST,VALUE: the ioctl on a new terminal that is this process's controlling one.
static void act_pty_ioctl(const struct act *act, struct outcome *outcome) {
    int master, terminal = new_terminal(&master);
    if (terminal < 0) return store(outcome, -1);
    setsid();
    ioctl(terminal, TIOCSCTTY, 0);
    char value[256] = { (char)number_of(act, 2) };
    *(int *)(void *)value = (int)number_of(act, 2);
    store(outcome, syscall(SYS_ioctl, terminal, (unsigned long)number_of(act, 1), value));
    int waiting = 0;
    ioctl(terminal, FIONREAD, &waiting);
    say(outcome, "%d", waiting);
}

// steal-terminal: makes a terminal that controls another session its own, by force.
static void act_steal_terminal(const struct act *act, struct outcome *outcome) {
    (void)act;
    int master, terminal = new_terminal(&master), ready[2];
    if (terminal < 0 || pipe(ready) != 0) return store(outcome, -1);
    pid_t owner = fork();
    if (owner == 0) {
        setsid();
        ioctl(terminal, TIOCSCTTY, 0);
        if (write(ready[1], "x", 1) != 1) _exit(1);
        for (;;) pause();
    }
    char byte;
    if (read(ready[0], &byte, 1) != 1) return store(outcome, -1);
    setsid();
    store(outcome, ioctl(terminal, TIOCSCTTY, 1));
    kill(owner, SIGKILL);
}

// terminal: whether there is a controlling terminal, and which.
static void act_terminal(const struct act *act, struct outcome *outcome) {
    (void)act;
    struct stat about;
    int fd = open("/dev/tty", O_RDWR | O_CLOEXEC);
    store(outcome, fd);
    if (fd < 0) return;
    unsigned number = 0;
    ioctl(fd, TIOCGDEV, &number);
    fstat(0, &about);
    say(outcome, "tty=%u:%u stdin=%u:%u group=%d name=%s", number >> 8, number & 0xff,
        (unsigned)(about.st_rdev >> 8), (unsigned)(about.st_rdev & 0xff), tcgetpgrp(fd), ttyname(0));
}

// --- Filters -------------------------------------------------------------------------------------------------

static int install_filter(struct sock_filter *code, unsigned short size, unsigned flags) {
    struct sock_fprog program = { size, code };
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

// filter-allow,ACT…: installs a filter that allows everything, then does the act (words joined again).
static void act_filter_allow(const struct act *act, struct outcome *outcome) {
    struct sock_filter allow[] = { BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (install_filter(allow, 1, 0) != 0) {
        store(outcome, -1);
        say(outcome, "install");
        return;
    }
    char text[2000] = "";
    for (int i = 1; i < act->count; i++) {
        if (i > 1) strcat(text, ",");
        strcat(text, act->words[i]);
    }
    run_text(text, outcome);
}

static int listener = -1;

static void *let_continue(void *unused) {
    while (listener < 0) sched_yield();
    for (int i = 0; i < 8; i++) {
        struct seccomp_notif request = {0};
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &request) != 0) break;
        struct seccomp_notif_resp answer = { .id = request.id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE };
        ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
    }
    return unused;
}

// filter-notify,NUMBER: sends that call to a listener of its own, which says "continue"; then makes the call.
static void act_filter_notify(const struct act *act, struct outcome *outcome) {
    uint32_t number = (uint32_t)number_of(act, 1);
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    pthread_t thread;
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    pthread_create(&thread, NULL, let_continue, NULL);
    int fd = install_filter(code, 4, SECCOMP_FILTER_FLAG_NEW_LISTENER);
    if (fd < 0) {
        store(outcome, -1);
        say(outcome, "install");
        return;
    }
    __atomic_store_n(&listener, fd, __ATOMIC_SEQ_CST);
    store(outcome, syscall(number, number_of(act, 2), number_of(act, 3), number_of(act, 4), 0, 0, 0));
}

// layers: restricts itself by Landlock again and again; the result is how often it worked.
static void act_layers(const struct act *act, struct outcome *outcome) {
    (void)act;
    uint64_t rights = 1u << 9;   // MAKE_SOCK
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    for (long layers = 0; layers < 64; layers++) {
        int fd = (int)syscall(SYS_landlock_create_ruleset, &rights, sizeof rights, 0);
        if (fd < 0) return store(outcome, -1);
        if (syscall(SYS_landlock_restrict_self, fd, 0) != 0) {
            outcome->error = errno;
            outcome->result = layers;
            return;
        }
        close(fd);
    }
}

#ifdef __x86_64__
// int80,NUMBER: the call by the 32-bit gate.
static void act_int80(const struct act *act, struct outcome *outcome) {
    long result = number_of(act, 1);
    __asm__ volatile("int $0x80" : "+a"(result) : "b"(0), "c"(0), "d"(0), "S"(0), "D"(0) : "memory", "r8", "r9",
                     "r10", "r11");
    outcome->result = result < 0 && result > -4096 ? -1 : result;
    outcome->error = result < 0 && result > -4096 ? (int)-result : 0;
}
#endif

// unknown,FIRST,LAST: calls every number of the range, -1 and 4095 with bad pointers; says those that are not ENOSYS.
static void act_unknown(const struct act *act, struct outcome *outcome) {
    long first = number_of(act, 1), last = number_of(act, 2);
    for (long at = first; at <= last + 2; at++) {
        long number = at <= last ? at : at == last + 1 ? -1 : 4095;
        long result = syscall(number, -1L, 1L, 1L, -1L, 1L, 1L);
        int error = errno;
        if (result == -1 && error == ENOSYS) continue;
        outcome->result++;
        say(outcome, "%ld=%s ", number, result == -1 ? strerrorname_np(error) : "DONE");
    }
}

const struct named_act acts_kernel[] = {
    { "pty-ioctl", act_pty_ioctl },
    { "steal-terminal", act_steal_terminal },
    { "terminal", act_terminal },
    { "filter-allow", act_filter_allow },
    { "filter-notify", act_filter_notify },
    { "layers", act_layers },
    { "unknown", act_unknown },
#ifdef __x86_64__
    { "int80", act_int80 },
#endif
    { NULL, NULL },
};

#define _GNU_SOURCE
#include "terminal.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

int box_pty_unlock(int master) {
    int locked = 0;
    return ioctl(master, TIOCSPTLCK, &locked);
}
int box_pty_peer(int master, int flags) { return ioctl(master, TIOCGPTPEER, flags); }

static struct termios guarded;
static volatile sig_atomic_t guarded_fd = -1;

// tcsetattr and tcgetpgrp are async-signal-safe (signal-safety(7)).
static void put_back(void) {
    int fd = guarded_fd;
    if (fd < 0) return;
    guarded_fd = -1;
    // In the background the terminal belongs to another job; tcsetattr would also stop us (SIGTTOU).
    pid_t foreground = tcgetpgrp(fd);
    if (foreground >= 0 && foreground != getpgrp()) return;
    tcsetattr(fd, TCSADRAIN, &guarded);
}

static void crashed(int signal) {
    put_back();
    // SA_RESETHAND has put the default action back; it comes when this handler returns.
    raise(signal);
}

void box_terminal_guard(int fd, const struct termios *attributes) {
    static const int crashes[] = {SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGTRAP};
    static int installed;
    guarded_fd = -1;
    guarded = *attributes;
    guarded_fd = fd;
    if (installed++) return;
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = crashed;
    action.sa_flags = (int)SA_RESETHAND;
    for (unsigned int i = 0; i < sizeof crashes / sizeof *crashes; i++) {
        struct sigaction before;
        // A handler that somebody set before (a sanitizer, a test) stays.
        if (sigaction(crashes[i], 0, &before) == 0 && before.sa_handler == SIG_DFL)
            sigaction(crashes[i], &action, 0);
    }
    atexit(put_back);
}
void box_terminal_unguard(void) { guarded_fd = -1; }

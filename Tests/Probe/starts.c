// Starts /bin/echo (or another program) in every way that Linux has, for the tests of what the log says of it.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char *const words[] = {"echo", "started", 0};
static char *const none[] = {0};

static int ended(pid_t pid) {
    int status;
    if (waitpid(pid, &status, 0) < 0) return 1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int raw(const char *path) {
    syscall(SYS_execve, path, words, none);
    return errno;
}

static void *thread(void *unused) {
    (void)unused;
    raw("/bin/echo");
    return 0;
}

static int by_thread(void) {
    pthread_t other;
    pthread_create(&other, 0, thread, 0);
    pthread_join(other, 0);
    return 1;
}

static int by_vfork(void) {
    pid_t pid = vfork();
    if (pid == 0) {
        execve("/bin/echo", words, none);
        _exit(1);
    }
    return ended(pid);
}

// The child never starts anything, and its parent waits for that.
static int linger(void) {
    if (vfork() == 0)
        for (;;) pause();
    return 0;
}

static int by_spawn(void) {
    pid_t pid;
    return posix_spawn(&pid, "/bin/echo", 0, 0, words, none) ? 1 : ended(pid);
}

static int by_directory(void) {
    int directory = open("/bin", O_PATH | O_DIRECTORY);
    syscall(SYS_execveat, directory, "echo", words, none, 0);
    return errno;
}

static int by_descriptor(void) {
    int file = open("/bin/echo", O_RDONLY);
    syscall(SYS_execveat, file, "", words, none, AT_EMPTY_PATH);
    return errno;
}

// A copy in memory that has no name.
static int by_memory(void) {
    int from = open("/bin/echo", O_RDONLY), to = memfd_create("nameless", 0);
    struct stat status;
    fstat(from, &status);
    if (sendfile(to, from, 0, (size_t)status.st_size) < 0) return errno;
    syscall(SYS_execveat, to, "", words, none, AT_EMPTY_PATH);
    return errno;
}

// Closed to others: nobody may read its memory.
static int hidden(char **command) {
    prctl(PR_SET_DUMPABLE, 0);
    if (command[0]) execve(command[0], command, none);
    return raw("/bin/echo");
}

// A filter of its own that lets everything through.
static int filtered(unsigned int action) {
    struct sock_filter all[] = {{BPF_RET | BPF_K, 0, 0, action}};
    struct sock_fprog program = {1, all};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program)) return errno;
    return raw("/bin/echo");
}

static int own_listener(void) {
    struct sock_filter all[] = {
        {BPF_LD | BPF_W | BPF_ABS, 0, 0, 0},
        {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, SYS_execve},
        {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_USER_NOTIF},
        {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW}};
    struct sock_fprog program = {4, all};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program) < 0) return errno;
    return 0;
}

// Another thread changes the path while the call is under way: `asked` and `meant` have the same length.
static char path[4096];
static const char *asked, *meant;
static void *flip(void *unused) {
    (void)unused;
    for (;;) {
        memcpy(path, meant, strlen(meant) + 1);
        __asm__ volatile("" ::: "memory");
        for (volatile int i = 0; i < 300; i++);
        memcpy(path, asked, strlen(asked) + 1);
        __asm__ volatile("" ::: "memory");
        for (volatile int i = 0; i < 300; i++);
    }
    return 0;
}

static int race(int count) {
    char *const arguments[] = {"race", 0};
    int failed = 0;
    for (int i = 0; i < count; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            pthread_t other;
            memcpy(path, asked, strlen(asked) + 1);
            pthread_create(&other, 0, flip, 0);
            sched_yield();
            execve(path, arguments, none);
            _exit(111);
        }
        failed += ended(pid) == 111;
    }
    // Half of the one path and half of the other is no program.
    printf("%d\n", failed);
    return 0;
}

static int storm(int count) {
    char *const arguments[] = {"true", 0};
    int failed = 0;
    for (int i = 0; i < count; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            execve("/bin/true", arguments, none);
            _exit(1);
        }
        failed += pid < 0 || ended(pid);
    }
    return failed != 0;
}

// What execve(2) says of each path.
static int refused(int count, char **paths) {
    for (int i = 0; i < count; i++) {
        pid_t pid = fork();
        if (pid == 0) _exit(raw(paths[i]));
        printf("%s %d\n", paths[i], ended(pid));
    }
    pid_t pid = fork();
    if (pid == 0) _exit(raw((const char *)8));
    printf("nowhere %d\n", ended(pid));
    return 0;
}

int main(int count, char **arguments) {
    if (count < 2) return 2;
    const char *way = arguments[1];
    if (!strcmp(way, "thread")) return by_thread();
    if (!strcmp(way, "vfork")) return by_vfork();
    if (!strcmp(way, "linger")) return linger();
    if (!strcmp(way, "spawn")) return by_spawn();
    if (!strcmp(way, "directory")) return by_directory();
    if (!strcmp(way, "descriptor")) return by_descriptor();
    if (!strcmp(way, "memory")) return by_memory();
    if (!strcmp(way, "hidden")) return hidden(arguments + 2);
    if (!strcmp(way, "allow")) return filtered(SECCOMP_RET_ALLOW);
    if (!strcmp(way, "trace")) return filtered(SECCOMP_RET_TRACE);
    if (!strcmp(way, "log")) return filtered(SECCOMP_RET_LOG);
    if (!strcmp(way, "listener")) return own_listener();
    if (!strcmp(way, "storm")) return storm(atoi(arguments[2]));
    if (!strcmp(way, "refused")) return refused(count - 2, arguments + 2);
    if (!strcmp(way, "race") && count == 5) {
        asked = arguments[3];
        meant = arguments[4];
        return race(atoi(arguments[2]));
    }
    return 2;
}

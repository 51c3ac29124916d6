// minilaunch: the least that starts a command in seven namespaces behind a private root: only the system calls,
// no policy, no checks, no supervision. It is the limit that the benchmark holds the real tools against.
//
//   minilaunch [MOUNT…] [-s FILTER] [-l ROUNDS] -- COMMAND [ARGUMENT…]
//
//   -r PATH       a read-only bind of PATH at the same place       -w PATH   a writable one
//   -t PATH       an empty tmpfs                                   -k NAME=TARGET   a symbolic link
//   -s FILTER     a file with a BPF program, installed as the last step before exec
//   -l ROUNDS     runs the command so many times and prints the median time of each part, in microseconds
//
// Mounts are made in the order of the options; /proc, a small /dev and the loopback interface always.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// glibc's <sys/mount.h> and <linux/mount.h> can't be included together before glibc 2.37.
int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data);
int umount2(const char *target, int flags);
enum { PRIVATE = 1 << 18, RECURSIVE = 1 << 14, BIND = 1 << 12, NO_SUID = 2, NO_DEV = 4, NO_EXEC = 8, DETACH = 2 };

enum { MOST_MOUNTS = 128, MOST_INSTRUCTIONS = 4096 };

// The parts of a launch, in order; each time is taken at the end of its part.
enum part { START, CLONE, ID_MAP, ROOT, MOUNTS, PROC, DEV, PIVOT, LOOPBACK, FILTER, RUN, PART_COUNT };
static const char *const part_names[PART_COUNT] = {
    "total", "clone3", "id map", "root", "mounts", "/proc", "/dev", "pivot_root", "loopback", "seccomp", "exec … exit"};

struct wanted_mount {
    char kind;   // the option's letter
    const char *path;
};

static struct wanted_mount mounts[MOST_MOUNTS];
static int mount_count;
static struct sock_filter instructions[MOST_INSTRUCTIONS];
static struct sock_fprog filter = {.filter = instructions};
static char **command;
static double *times;   // shared with the child

static void mark(enum part part) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    times[part] = (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void fail(const char *what) {
    fprintf(stderr, "minilaunch: %s: %s\n", what, strerror(errno));
    _exit(125);
}

static void write_file(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) < 0) fail(path);
    close(fd);
}

static void map_own_ids(uid_t uid, gid_t gid) {
    char line[64];
    write_file("/proc/self/setgroups", "deny");
    snprintf(line, sizeof line, "%u %u 1", uid, uid);
    write_file("/proc/self/uid_map", line);
    snprintf(line, sizeof line, "%u %u 1", gid, gid);
    write_file("/proc/self/gid_map", line);
}

// Makes the folders above path, and path itself: a folder, or an empty file.
static void make_mount_point(char *path, int is_folder) {
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(path, 0755) != 0 && errno != EEXIST) fail(path);
        *slash = '/';
    }
    if (is_folder) {
        if (mkdir(path, 0755) != 0 && errno != EEXIST) fail(path);
    } else {
        int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
        if (fd < 0) fail(path);
        close(fd);
    }
}

// A copy of the mount tree at path with its attributes, moved below the new root (the current folder).
static void bind_tree(const char *path, uint64_t attributes) {
    char target[4096];
    snprintf(target, sizeof target, ".%s", path);
    struct stat status;
    if (stat(path, &status) != 0) fail(path);
    make_mount_point(target, S_ISDIR(status.st_mode));
    int tree = (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    if (tree < 0) fail(path);
    struct mount_attr set = {.attr_set = attributes};
    if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &set, sizeof set) != 0) fail(path);
    if (syscall(SYS_move_mount, tree, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH) != 0) fail(path);
    close(tree);
}

static void mount_wanted(struct wanted_mount wanted) {
    char target[4096];
    switch (wanted.kind) {
    case 'r':
        bind_tree(wanted.path, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
        break;
    case 'w':
        bind_tree(wanted.path, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
        break;
    case 't':
        snprintf(target, sizeof target, ".%s", wanted.path);
        make_mount_point(target, 1);
        if (mount("tmpfs", target, "tmpfs", NO_SUID | NO_DEV, "mode=1777") != 0) fail(wanted.path);
        break;
    case 'k': {
        const char *equals = strchr(wanted.path, '=');
        if (!equals) fail(wanted.path);
        snprintf(target, sizeof target, ".%.*s", (int)(equals - wanted.path), wanted.path);
        if (symlink(equals + 1, target) != 0) fail(wanted.path);
        break;
    }
    }
}

static void make_devices(void) {
    static const char *const names[] = {"null", "zero", "full", "random", "urandom", "tty"};
    if (mkdir("dev", 0755) != 0 || mount("tmpfs", "dev", "tmpfs", NO_SUID | NO_EXEC, "mode=755") != 0) fail("/dev");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[32];
        snprintf(path, sizeof path, "/dev/%s", names[i]);
        bind_tree(path, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
    }
    if (mkdir("dev/pts", 0755) != 0 || mkdir("dev/shm", 0755) != 0) fail("/dev/pts");
    if (mount("devpts", "dev/pts", "devpts", NO_SUID | NO_EXEC, "newinstance,ptmxmode=0666,mode=620") != 0)
        fail("/dev/pts");
    if (mount("tmpfs", "dev/shm", "tmpfs", NO_SUID | NO_DEV, "mode=1777") != 0) fail("/dev/shm");
    if (symlink("pts/ptmx", "dev/ptmx") != 0) fail("/dev/ptmx");
}

static void make_root(void) {
    if (mount(NULL, "/", NULL, RECURSIVE | PRIVATE, NULL) != 0) fail("private mounts");
    if (mount("tmpfs", "/mnt", "tmpfs", NO_SUID | NO_DEV, "mode=755") != 0 || chdir("/mnt") != 0) fail("root");
    mark(ROOT);
    for (int i = 0; i < mount_count; i++) mount_wanted(mounts[i]);
    mark(MOUNTS);
    if (mkdir("proc", 0755) != 0 || mount("proc", "proc", "proc", NO_SUID | NO_DEV | NO_EXEC, NULL) != 0)
        fail("/proc");
    mark(PROC);
    make_devices();
    mark(DEV);
    // The old root comes to lie on top of the new one, and is taken off from there.
    if (syscall(SYS_pivot_root, ".", ".") != 0 || umount2(".", DETACH) != 0 || chdir("/") != 0) fail("pivot_root");
    mark(PIVOT);
}

static void raise_loopback(void) {
    struct ifreq request = {.ifr_name = "lo"};
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) != 0) fail("loopback");
    close(fd);
    mark(LOOPBACK);
}

static void child(uid_t uid, gid_t gid) {
    mark(CLONE);
    map_own_ids(uid, gid);
    mark(ID_MAP);
    make_root();
    raise_loopback();
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) fail("no_new_privs");
    if (filter.len != 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) fail("seccomp");
    mark(FILTER);
    execvp(command[0], command);
    fail(command[0]);
}

static int launch(void) {
    struct clone_args arguments = {
        .flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS |
                 CLONE_NEWCGROUP,
        .exit_signal = SIGCHLD,
    };
    uid_t uid = geteuid();
    gid_t gid = getegid();
    mark(START);
    pid_t pid = (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
    if (pid < 0) fail("clone3");
    if (pid == 0) child(uid, gid);
    int status = 0;
    if (waitpid(pid, &status, 0) < 0) fail("waitpid");
    mark(RUN);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// The median of each part over the rounds, one a line.
static int print_parts(int rounds) {
    double *samples[PART_COUNT];
    for (int part = 0; part < PART_COUNT; part++) samples[part] = calloc((size_t)rounds, sizeof(double));
    for (int round = 0; round < rounds; round++) {
        if (launch() != 0) return 1;
        samples[START][round] = times[RUN] - times[START];
        for (int part = CLONE; part < PART_COUNT; part++) samples[part][round] = times[part] - times[part - 1];
    }
    for (int part = 0; part < PART_COUNT; part++) {
        qsort(samples[part], (size_t)rounds, sizeof(double), ascending);
        printf("%-12s %8.1f\n", part_names[part], samples[part][rounds / 2]);
    }
    return 0;
}

static void read_filter(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, instructions, sizeof instructions);
    if (size <= 0) fail(path);
    filter.len = (unsigned short)((size_t)size / sizeof *instructions);
    close(fd);
}

int main(int count, char **arguments) {
    int option, rounds = 0;
    while ((option = getopt(count, arguments, "+r:w:t:k:s:l:")) != -1) {
        switch (option) {
        case 'r': case 'w': case 't': case 'k':
            if (mount_count == MOST_MOUNTS) return 2;
            mounts[mount_count++] = (struct wanted_mount){(char)option, optarg};
            break;
        case 's': read_filter(optarg); break;
        case 'l': rounds = atoi(optarg); break;
        default: return 2;
        }
    }
    command = arguments + optind;
    if (!*command) return 2;
    times = mmap(NULL, PART_COUNT * sizeof(double), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (times == MAP_FAILED) fail("mmap");
    return rounds > 0 ? print_parts(rounds) : launch();
}

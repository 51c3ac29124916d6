// The acts that are more than one system call. Each stores what the kernel answered and says what it saw.
#define _GNU_SOURCE
#include "probe.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <ifaddrs.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

static long number_of(const struct act *act, int index) {
    return index < act->count ? (long)strtoull(act->words[index], NULL, 0) : 0;
}

static const char *text_of(const struct act *act, int index) {
    return index < act->count ? act->words[index] : "";
}

// --- Files ----------------------------------------------------------------------------------------------

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

// --- Descriptors and processes --------------------------------------------------------------------------

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

// --- Identity -------------------------------------------------------------------------------------------

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

// --- Terminals ------------------------------------------------------------------------------------------

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

// --- Sockets --------------------------------------------------------------------------------------------

// sockets: every family with every type; says those that were made and why the others were not.
static void act_sockets(const struct act *act, struct outcome *outcome) {
    static const int types[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET };
    (void)act;
    for (int family = 0; family <= 45; family++)
        for (int i = 0; i < 4; i++) {
            int fd = socket(family, types[i] | SOCK_CLOEXEC, 0);
            int error = errno;
            if (fd >= 0) outcome->result++, close(fd);
            say(outcome, "%d:%d=%s ", family, types[i], fd >= 0 ? "OPEN" : strerrorname_np(error));
        }
}

static void finish_connect(int fd, const struct sockaddr *address, socklen_t size, struct outcome *outcome) {
    if (fd < 0) return store(outcome, -1);
    store(outcome, connect(fd, address, size));
    if (outcome->error != EINPROGRESS) return;
    struct pollfd wait = { fd, POLLOUT, 0 };
    socklen_t room = sizeof outcome->error;
    outcome->error = ETIMEDOUT;
    if (poll(&wait, 1, 3000) == 1) getsockopt(fd, SOL_SOCKET, SO_ERROR, &outcome->error, &room);
    outcome->result = outcome->error == 0 ? 0 : -1;
}

static socklen_t internet_address(const struct act *act, struct sockaddr_storage *storage) {
    struct sockaddr_in *four = (void *)storage;
    struct sockaddr_in6 *six = (void *)storage;
    uint16_t port = htons((uint16_t)number_of(act, 2));
    memset(storage, 0, sizeof *storage);
    if (inet_pton(AF_INET, text_of(act, 1), &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = port;
        return sizeof *four;
    }
    inet_pton(AF_INET6, text_of(act, 1), &six->sin6_addr);
    six->sin6_family = AF_INET6;
    six->sin6_port = port;
    return sizeof *six;
}

// tcp,ADDRESS,PORT and udp,ADDRESS,PORT: connects, in at most three seconds; udp also sends a byte.
static void act_internet(const struct act *act, struct outcome *outcome) {
    struct sockaddr_storage address;
    socklen_t size = internet_address(act, &address);
    int type = strcmp(text_of(act, 0), "udp") == 0 ? SOCK_DGRAM : SOCK_STREAM;
    int fd = socket(address.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    finish_connect(fd, (struct sockaddr *)&address, size, outcome);
    if (type == SOCK_DGRAM && outcome->error == 0) store(outcome, send(fd, "x", 1, 0));
}

// listen,ADDRESS,PORT: listens there with SO_REUSEADDR and SO_REUSEPORT.
static void act_listen(const struct act *act, struct outcome *outcome) {
    struct sockaddr_storage address;
    socklen_t size = internet_address(act, &address);
    int yes = 1, fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return store(outcome, -1);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof yes);
    store(outcome, bind(fd, (struct sockaddr *)&address, size));
    if (outcome->error == 0) store(outcome, listen(fd, 8));
}

// unix,PATH: connects to a socket by path; unix,@NAME: to an abstract one.
static void act_unix(const struct act *act, struct outcome *outcome) {
    static const int types[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET };
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    const char *name = text_of(act, 1);
    strncpy(address.sun_path, name, sizeof address.sun_path - 1);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
    if (*name == '@') address.sun_path[0] = 0;
    else size = sizeof address;
    for (int i = 0; i < 3; i++) {
        int fd = socket(AF_UNIX, types[i] | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        finish_connect(fd, (struct sockaddr *)&address, size, outcome);
        if (outcome->error != EPROTOTYPE) return;
    }
}

// unix-pair,PATH: a server and a client by path, one byte across; a socketpair of both types too.
static void act_unix_pair(const struct act *act, struct outcome *outcome) {
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int pair[2], server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char byte = 0;
    strncpy(address.sun_path, text_of(act, 1), sizeof address.sun_path - 1);
    if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) != 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0)
        return store(outcome, -1);
    if (bind(server, (struct sockaddr *)&address, sizeof address) != 0 || listen(server, 1) != 0)
        return store(outcome, -1);
    if (connect(client, (struct sockaddr *)&address, sizeof address) != 0) return store(outcome, -1);
    int accepted = accept(server, NULL, NULL);
    if (accepted < 0 || write(client, "b", 1) != 1) return store(outcome, -1);
    store(outcome, read(accepted, &byte, 1));
    unlink(text_of(act, 1));
}

// tcp-pair,ADDRESS: a server on a port of the kernel's choice and a client, one byte across.
static void act_tcp_pair(const struct act *act, struct outcome *outcome) {
    struct sockaddr_storage address;
    struct act listening = { 3, { "tcp", act->words[1], "0" } };
    socklen_t size = internet_address(&listening, &address);
    int server = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int client = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char byte;
    if (bind(server, (struct sockaddr *)&address, size) != 0 || listen(server, 1) != 0) return store(outcome, -1);
    if (getsockname(server, (struct sockaddr *)&address, &size) != 0) return store(outcome, -1);
    if (connect(client, (struct sockaddr *)&address, size) != 0) return store(outcome, -1);
    int accepted = accept(server, NULL, NULL);
    if (accepted < 0 || write(client, "b", 1) != 1) return store(outcome, -1);
    store(outcome, read(accepted, &byte, 1));
}

// flood,ADDRESS,PORT,COUNT: opens connections and keeps them; the result is how many were made.
static void act_flood(const struct act *act, struct outcome *outcome) {
    struct sockaddr_storage address;
    socklen_t size = internet_address(act, &address);
    for (long i = 0; i < number_of(act, 3); i++) {
        int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0) {
            outcome->error = errno;
            return;
        }
        if (connect(fd, (struct sockaddr *)&address, size) == 0 || errno == EINPROGRESS) outcome->result++;
    }
}

// interfaces: the names getifaddrs knows.
static void act_interfaces(const struct act *act, struct outcome *outcome) {
    (void)act;
    struct ifaddrs *list;
    if (getifaddrs(&list) != 0) return store(outcome, -1);
    for (struct ifaddrs *at = list; at != NULL; at = at->ifa_next)
        if (strstr(outcome->detail, at->ifa_name) == NULL) {
            outcome->result++;
            say(outcome, "%s ", at->ifa_name);
        }
}

// --- IPC ------------------------------------------------------------------------------------------------

// sysv,KEY: looks for shared memory, a queue and a semaphore of that key; says those that are there.
static void act_sysv(const struct act *act, struct outcome *outcome) {
    key_t key = (key_t)number_of(act, 1);
    outcome->error = ENOENT;
    outcome->result = -1;
    int found[] = { shmget(key, 0, 0), msgget(key, 0), semget(key, 0, 0) };
    static const char *names[] = { "shm", "msg", "sem" };
    for (int i = 0; i < 3; i++)
        if (found[i] >= 0) {
            outcome->error = 0;
            outcome->result = found[i];
            say(outcome, "%s ", names[i]);
        }
}

// sysv-make,KEY and sysv-remove,KEY: the host's side of it.
static void act_sysv_make(const struct act *act, struct outcome *outcome) {
    key_t key = (key_t)number_of(act, 1);
    int made[] = { shmget(key, 4096, IPC_CREAT | 0666), msgget(key, IPC_CREAT | 0666),
                   semget(key, 1, IPC_CREAT | 0666) };
    outcome->result = made[0] >= 0 && made[1] >= 0 && made[2] >= 0 ? 3 : -1;
}

static void act_sysv_remove(const struct act *act, struct outcome *outcome) {
    key_t key = (key_t)number_of(act, 1);
    shmctl(shmget(key, 0, 0), IPC_RMID, NULL);
    msgctl(msgget(key, 0), IPC_RMID, NULL);
    semctl(semget(key, 0, 0), 0, IPC_RMID);
    store(outcome, 0);
}

// queue-make,NAME · queue,NAME · queue-remove,NAME: a POSIX message queue.
static void act_queue(const struct act *act, struct outcome *outcome) {
    if (strcmp(text_of(act, 0), "queue-remove") == 0) return store(outcome, mq_unlink(text_of(act, 1)));
    int make = strcmp(text_of(act, 0), "queue-make") == 0;
    store(outcome, mq_open(text_of(act, 1), O_RDWR | (make ? O_CREAT : 0), 0666, NULL));
}

// --- Filters --------------------------------------------------------------------------------------------

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

static const struct { const char *name; void (*run)(const struct act *, struct outcome *); } acts[] = {
    { "read", act_read }, { "write", act_write }, { "orphans", act_orphans }, { "tcp-pair", act_tcp_pair },
    { "flood", act_flood }, { "open", act_open }, { "create", act_create }, { "list", act_list },
    { "writable", act_writable }, { "devices", act_devices }, { "exe-write", act_exe_write },
    { "handle", act_handle }, { "flags", act_flags }, { "project", act_project }, { "fill", act_fill },
    { "inodes", act_inodes }, { "fds", act_fds }, { "clone", act_clone }, { "clone3", act_clone3 },
    { "setns", act_setns }, { "getfd", act_getfd }, { "vm-read", act_vm_read },
    { "trace-child", act_trace_child }, { "threads", act_threads }, { "forks", act_forks },
    { "memory", act_memory }, { "descriptors", act_descriptors }, { "limit", act_limit }, { "gain", act_gain },
    { "groups", act_groups }, { "setuid-copy", act_setuid_copy }, { "pty-ioctl", act_pty_ioctl },
    { "steal-terminal", act_steal_terminal }, { "terminal", act_terminal }, { "sockets", act_sockets },
    { "tcp", act_internet }, { "udp", act_internet }, { "listen", act_listen }, { "unix", act_unix },
    { "unix-pair", act_unix_pair }, { "interfaces", act_interfaces }, { "sysv", act_sysv },
    { "sysv-make", act_sysv_make }, { "sysv-remove", act_sysv_remove }, { "queue", act_queue },
    { "queue-make", act_queue }, { "queue-remove", act_queue }, { "filter-allow", act_filter_allow },
    { "filter-notify", act_filter_notify }, { "layers", act_layers }, { "unknown", act_unknown },
#ifdef __x86_64__
    { "int80", act_int80 },
#endif
};

int run_act(const struct act *act, struct outcome *outcome) {
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++)
        if (strcmp(acts[i].name, act->words[0]) == 0) {
            acts[i].run(act, outcome);
            return 1;
        }
    return 0;
}

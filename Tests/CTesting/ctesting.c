#define _GNU_SOURCE
#include "ctesting.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

int ct_terminal(int rows, int columns, char *path, int room) {
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (master < 0) return -1;
    if (grantpt(master) != 0 || unlockpt(master) != 0 || ptsname_r(master, path, (size_t)room) != 0 ||
        ct_resize(master, rows, columns) != 0) {
        int error = errno;
        close(master);
        errno = error;
        return -1;
    }
    return master;
}

int ct_resize(int master, int rows, int columns) {
    struct winsize size = { .ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns };
    return ioctl(master, TIOCSWINSZ, &size);
}

int ct_pipe(int ends[2], int harness_end) {
    if (pipe2(ends, O_CLOEXEC) != 0) return -1;
    return fcntl(ends[harness_end], F_SETFL, O_NONBLOCK);
}

// In the child: only async-signal-safe calls, as other threads exist.
static void become(char *const arguments[], char *const environment[], const char *directory, const int streams[3],
                   const char *terminal, int report) {
    int files[3];
    sigset_t none;
    setsid();
    for (int i = 0; i < 3; i++) {
        int file = terminal != NULL && i == 0 ? open(terminal, O_RDWR) : terminal != NULL ? files[0] : streams[i];
        files[i] = fcntl(file, F_DUPFD, 10);
        if (files[i] < 0) return;
    }
    for (int i = 0; i < 3; i++)
        if (dup2(files[i], i) < 0) return;
    int high = fcntl(report, F_DUPFD, 3);
    if (dup2(high, 3) < 0 || fcntl(3, F_SETFD, FD_CLOEXEC) != 0 || close_range(4, ~0u, 0) != 0) return;
    for (int number = 1; number < NSIG; number++) signal(number, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (chdir(directory) == 0) execve(arguments[0], arguments, environment);
    int error = errno;
    if (write(3, &error, sizeof error) < 0) _exit(126);
}

pid_t ct_start(char *const arguments[], char *const environment[], const char *directory, const int streams[3],
               const char *terminal) {
    int ends[2], error = 0;
    if (pipe2(ends, O_CLOEXEC) != 0) return -1;
    pid_t child = fork();
    if (child == 0) {
        become(arguments, environment, directory, streams, terminal, ends[1]);
        _exit(127);
    }
    close(ends[1]);
    ssize_t count = child < 0 ? 0 : read(ends[0], &error, sizeof error);
    close(ends[0]);
    if (count != sizeof error) return child;
    waitpid(child, NULL, 0);
    errno = error;
    return -1;
}

static int listening(const void *address, socklen_t size, int family) {
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    if (bind(fd, address, size) == 0 && listen(fd, 64) == 0) return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

int ct_listen_unix(const char *name, int abstract) {
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    size_t length = strlen(name);
    if (length + 2 > sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(address.sun_path + (abstract ? 1 : 0), name, length);
    socklen_t size = abstract ? (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length) : sizeof address;
    return listening(&address, size, AF_UNIX);
}

int ct_listen_tcp(const char *text, int *port) {
    struct sockaddr_in four = { .sin_family = AF_INET };
    struct sockaddr_in6 six = { .sin6_family = AF_INET6 };
    int is_four = inet_pton(AF_INET, text, &four.sin_addr) == 1;
    if (!is_four && inet_pton(AF_INET6, text, &six.sin6_addr) != 1) {
        errno = EINVAL;
        return -1;
    }
    int fd = is_four ? listening(&four, sizeof four, AF_INET) : listening(&six, sizeof six, AF_INET6);
    if (fd < 0) return -1;
    socklen_t size = sizeof six;
    if (getsockname(fd, (struct sockaddr *)&six, &size) != 0) return -1;
    *port = ntohs(six.sin6_port);   // the port is at the same place in both
    return fd;
}

int ct_reached(int listener) {
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0) close(fd);
    return fd >= 0;
}

ssize_t ct_attributes(const char *path, char *buffer, size_t room) {
    char names[65536];
    ssize_t listed = llistxattr(path, names, sizeof names);
    // Some file systems have none at all.
    if (listed < 0) return errno == EOPNOTSUPP ? 0 : -1;
    size_t used = 0;
    for (const char *name = names; name < names + listed; name += strlen(name) + 1) {
        size_t before = strlen(name) + 1, head = before + sizeof(size_t);
        if (used + head > room) {
            errno = ERANGE;
            return -1;
        }
        ssize_t size = lgetxattr(path, name, buffer + used + head, room - used - head);
        if (size < 0) return -1;
        size_t length = (size_t)size;
        memcpy(buffer + used, name, before);
        memcpy(buffer + used + before, &length, sizeof length);
        used += head + length;
    }
    return (ssize_t)used;
}

int ct_set_attribute(const char *path, const char *name, const char *value, size_t size) {
    return lsetxattr(path, name, value, size, 0);
}

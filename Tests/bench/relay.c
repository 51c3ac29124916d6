// relay: the least CONNECT proxy there can be, as the limit for others. One thread, epoll (edge triggered), an
// allowlist of exact NAME:PORT, no resolving (every name is dialled on 127.0.0.1), no limits, no log, no checks.
//
//   relay -p PORT -a NAME:PORT [-a …] [-s]
//
// Bytes go through one shared buffer of 256 kB, or with -s by splice(2) through a pipe. What the other side does
// not take at once is parked in a pipe.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER = 256 << 10, MOST_RULES = 64, MOST_POOLED = 256, HEAD = 2048, ROUNDS = 32 };

struct tunnel;

// One end of a tunnel. What came from it and could not be written to the other end waits in its pipe.
struct side {
    struct tunnel *tunnel;
    int fd, pipe_out, pipe_in;
    int readable, writable, ended, passed_on;
    ssize_t parked;
};

struct tunnel {
    struct side sides[2];
    enum { HEADING, DIALLING, RELAYING, DEAD } state;
    size_t got;
    char *head;
    struct tunnel *next_dead;
};

static int events, by_splice, rules, pooled;
static int pool[MOST_POOLED][2];
static const char *rule[MOST_RULES];
static char buffer[BUFFER];
static struct tunnel *dead;

static int take_pipe(struct side *side) {
    int ends[2];
    if (side->pipe_out >= 0) return 0;
    if (pooled > 0) {
        pooled--;
        side->pipe_out = pool[pooled][0];
        side->pipe_in = pool[pooled][1];
        return 0;
    }
    if (pipe2(ends, O_NONBLOCK | O_CLOEXEC)) return -1;
    if (fcntl(ends[1], F_SETPIPE_SZ, BUFFER) < BUFFER) {
        close(ends[0]);
        close(ends[1]);
        return -1;
    }
    side->pipe_out = ends[0];
    side->pipe_in = ends[1];
    return 0;
}

static void give_pipe(struct side *side) {
    if (side->pipe_out < 0) return;
    if (side->parked > 0 || pooled == MOST_POOLED) {
        close(side->pipe_out);
        close(side->pipe_in);
    } else {
        pool[pooled][0] = side->pipe_out;
        pool[pooled++][1] = side->pipe_in;
    }
    side->pipe_out = side->pipe_in = -1;
}

static void end(struct tunnel *tunnel) {
    if (tunnel->state == DEAD) return;
    tunnel->state = DEAD;
    for (int i = 0; i < 2; i++) {
        give_pipe(&tunnel->sides[i]);
        if (tunnel->sides[i].fd >= 0) close(tunnel->sides[i].fd);
    }
    tunnel->next_dead = dead;
    dead = tunnel;
}

// Reads what is there: into the pipe, or into the buffer and from there to the other side. -1: broken.
static int take(struct side *from, struct side *to) {
    ssize_t got;
    if (by_splice) {
        if (take_pipe(from)) return -1;
        got = splice(from->fd, NULL, from->pipe_in, NULL, BUFFER, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
        if (got > 0) from->parked = got;
    } else {
        got = read(from->fd, buffer, BUFFER);
        if (got > 0) {
            ssize_t sent = send(to->fd, buffer, (size_t)got, MSG_NOSIGNAL | MSG_DONTWAIT);
            if (sent < 0 && errno != EAGAIN) return -1;
            if (sent < 0) sent = 0;
            if (sent < got) {
                to->writable = 0;
                from->parked = got - sent;
                if (take_pipe(from)) return -1;
                if (write(from->pipe_in, buffer + sent, (size_t)from->parked) != from->parked) return -1;
            }
        }
    }
    if (got == 0) from->ended = 1;
    if (got >= 0) return 0;
    if (errno != EAGAIN) return -1;
    from->readable = 0;
    return 0;
}

// Moves bytes one way: 0 when there is nothing more to do, 1 when there is, -1 when the tunnel broke.
static int pump(struct side *from, struct side *to) {
    for (int round = 0; round < ROUNDS; round++) {
        if (!from->parked && !from->ended) {
            if (!from->readable || !to->writable) break;
            if (take(from, to)) return -1;
        }
        if (from->parked) {
            if (!to->writable) break;
            ssize_t sent = splice(from->pipe_out, NULL, to->fd, NULL, (size_t)from->parked,
                SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
            if (sent < 0 && errno != EAGAIN) return -1;
            if (sent > 0) from->parked -= sent;
            else to->writable = 0;
        }
        if (from->ended && !from->parked) {
            if (!from->passed_on) shutdown(to->fd, SHUT_WR);
            from->passed_on = 1;
            break;
        }
        if (round == ROUNDS - 1) return 1;
    }
    if (!from->parked) give_pipe(from);
    return 0;
}

static void watch(struct side *side, int operation) {
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = side};
    epoll_ctl(events, operation, side->fd, &event);
}

static void relay(struct tunnel *tunnel) {
    int up = pump(&tunnel->sides[0], &tunnel->sides[1]), down = pump(&tunnel->sides[1], &tunnel->sides[0]);
    if (up < 0 || down < 0 || (tunnel->sides[0].passed_on && tunnel->sides[1].passed_on)) {
        end(tunnel);
    } else if (up || down) {
        // Setting the same events again makes epoll report them again, behind all others.
        watch(&tunnel->sides[0], EPOLL_CTL_MOD);
        watch(&tunnel->sides[1], EPOLL_CTL_MOD);
    }
}

static void say(int fd, const char *text) { (void)!send(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT); }

static void dial(struct tunnel *tunnel, const char *wanted) {
    const char *colon = strrchr(wanted, ':');
    int allowed = 0, on = 1;
    for (int i = 0; i < rules; i++) allowed |= !strcasecmp(rule[i], wanted);
    if (!allowed || !colon) {
        say(tunnel->sides[0].fd, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
        end(tunnel);
        return;
    }
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(colon + 1)),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    tunnel->sides[1].fd = fd;
    tunnel->state = DIALLING;
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0 && errno != EINPROGRESS) {
        say(tunnel->sides[0].fd, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n");
        end(tunnel);
        return;
    }
    watch(&tunnel->sides[1], EPOLL_CTL_ADD);
}

static void read_head(struct tunnel *tunnel) {
    struct side *client = &tunnel->sides[0];
    for (;;) {
        ssize_t count = read(client->fd, tunnel->head + tunnel->got, HEAD - 1 - tunnel->got);
        if (count < 0 && errno == EAGAIN) return;
        if (count <= 0) return end(tunnel);
        tunnel->got += (size_t)count;
        tunnel->head[tunnel->got] = 0;
        if (!strstr(tunnel->head, "\r\n\r\n")) {
            if (tunnel->got == HEAD - 1) return end(tunnel);
            continue;
        }
        // Clients of the load generator send nothing behind the head before they have the answer.
        char method[16], wanted[300];
        if (sscanf(tunnel->head, "%15s %299s", method, wanted) != 2 || strcmp(method, "CONNECT")) return end(tunnel);
        free(tunnel->head);
        tunnel->head = NULL;
        return dial(tunnel, wanted);
    }
}

static void connected(struct tunnel *tunnel) {
    int code = 0;
    socklen_t size = sizeof code;
    getsockopt(tunnel->sides[1].fd, SOL_SOCKET, SO_ERROR, &code, &size);
    if (code) {
        say(tunnel->sides[0].fd, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n");
        return end(tunnel);
    }
    say(tunnel->sides[0].fd, "HTTP/1.1 200 Connection established\r\n\r\n");
    tunnel->state = RELAYING;
    tunnel->sides[0].readable = tunnel->sides[0].writable = 1;
}

static void accept_all(int listener) {
    int on = 1;
    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct tunnel *tunnel = calloc(1, sizeof *tunnel);
        for (int i = 0; i < 2; i++)
            tunnel->sides[i] = (struct side){.tunnel = tunnel, .fd = -1, .pipe_out = -1, .pipe_in = -1};
        tunnel->sides[0].fd = fd;
        tunnel->head = malloc(HEAD);
        watch(&tunnel->sides[0], EPOLL_CTL_ADD);
    }
}

static void handle(struct side *side, uint32_t what) {
    struct tunnel *tunnel = side->tunnel;
    if (tunnel->state == DEAD) return;
    if (what & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) side->readable = 1;
    if (what & (EPOLLOUT | EPOLLHUP | EPOLLERR)) side->writable = 1;
    if (tunnel->state == HEADING && side->readable) return read_head(tunnel);
    if (tunnel->state == DIALLING && side == &tunnel->sides[1] && side->writable) connected(tunnel);
    if (tunnel->state == RELAYING) relay(tunnel);
}

int main(int count, char **argument) {
    uint16_t port = 8888;
    int option, on = 1;
    struct rlimit files;
    signal(SIGPIPE, SIG_IGN);
    while ((option = getopt(count, argument, "p:a:s")) != -1) switch (option) {
        case 'p': port = (uint16_t)atoi(optarg); break;
        case 'a': if (rules < MOST_RULES) rule[rules++] = optarg; break;
        case 's': by_splice = 1; break;
        default: return 2;
        }
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 8192)) {
        perror("relay");
        return 1;
    }
    events = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, list[256];
    epoll_ctl(events, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int ready = epoll_wait(events, list, 256, -1);
        for (int i = 0; i < ready; i++) {
            if (list[i].data.ptr) handle(list[i].data.ptr, list[i].events);
            else accept_all(listener);
        }
        while (dead) {
            struct tunnel *tunnel = dead;
            dead = tunnel->next_dead;
            free(tunnel->head);
            free(tunnel);
        }
    }
}

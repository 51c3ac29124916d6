// loadgen: a load generator and an origin server for CONNECT proxies, on loopback alone.
//
//   loadgen serve   -o ADDRESS:PORT                  the origin server
//   loadgen tunnels -n COUNT -c CLIENTS [-s SECONDS] new connection, CONNECT, 64 bytes there and back, close
//   loadgen trips   -n COUNT -c CLIENTS [-s SECONDS] 64 bytes there and back over tunnels that stay open
//   loadgen bulk    -d down|up -c CLIENTS -s SECONDS as many bytes as go through, one way
//   loadgen idle    -n COUNT                         opens tunnels, lets them rest, and looks at the proxy's memory
//
//   -x ADDRESS:PORT   the proxy; without it the origin server is asked directly
//   -o ADDRESS:PORT   the origin server (127.0.0.1:9000)
//   -a NAME:PORT      the origin server as CONNECT names it, if other than -o
//   -P PID            the proxy's process: the CPU time and memory of it and its descendants are counted
//
// Each but serve prints one JSON object. Status 1 if nothing could be measured.
// Addresses outside 127.0.0.0/8 are refused, so that no mistake loads somebody's network; LOADGEN_ANY_ADDRESS=1
// takes that away, for a network namespace whose every address is its own.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BULK = 256 << 10, REQUEST = 16, MESSAGE = 64, MOST_CLIENTS = 256, MOST_PROCESSES = 4096 };

static struct sockaddr_in proxy, origin;
static const char *proxy_text, *origin_text = "127.0.0.1:9000", *target;
static pid_t proxy_pid;
static char connect_head[1024];
static size_t connect_length;
static int events;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void sleep_for(double seconds) {
    struct timespec t = {.tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};
    while (nanosleep(&t, &t) < 0 && errno == EINTR) {}
}

static struct sockaddr_in parse(const char *text) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    char host[64];
    const char *colon = strrchr(text, ':');
    if (!colon || (size_t)(colon - text) >= sizeof host) goto bad;
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = 0;
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1) goto bad;
    address.sin_port = htons((uint16_t)atoi(colon + 1));
    if (ntohl(address.sin_addr.s_addr) >> 24 == 127 || getenv("LOADGEN_ANY_ADDRESS")) return address;
bad:
    fprintf(stderr, "loadgen: '%s' is not ADDRESS:PORT on loopback\n", text);
    exit(2);
}

static void no_delay(int fd) {
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

// --- The proxy's processes --------------------------------------------------------------------------------------

// The proxy's process and all below it.
static int processes(pid_t *found, int most) {
    static pid_t pid[MOST_PROCESSES], parent[MOST_PROCESSES];
    int known = 0, count = 0;
    if (!proxy_pid) return 0;
    DIR *proc = opendir("/proc");
    if (!proc) fail("/proc");
    for (struct dirent *entry; (entry = readdir(proc)) && known < MOST_PROCESSES;) {
        char path[64], line[512];
        int number = atoi(entry->d_name);
        snprintf(path, sizeof path, "/proc/%d/stat", number);
        FILE *file = number > 0 ? fopen(path, "r") : NULL;
        if (!file) continue;
        char *end = fgets(line, sizeof line, file) ? strrchr(line, ')') : NULL;
        if (end && sscanf(end + 1, " %*c %d", &parent[known]) == 1) pid[known++] = number;
        fclose(file);
    }
    closedir(proc);
    found[count++] = proxy_pid;
    for (int i = 0; i < count; i++)
        for (int k = 0; k < known && count < most; k++)
            if (parent[k] == found[i]) found[count++] = pid[k];
    return count;
}

// CPU time that the proxy has used, in seconds.
static double cpu(void) {
    pid_t list[256];
    int count = processes(list, 256);
    double ticks = 0;
    for (int i = 0; i < count; i++) {
        char path[64], line[1024];
        unsigned long user, kernel;
        snprintf(path, sizeof path, "/proc/%d/stat", list[i]);
        FILE *file = fopen(path, "r");
        if (!file) continue;
        char *end = fgets(line, sizeof line, file) ? strrchr(line, ')') : NULL;
        if (end && sscanf(end + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &kernel) == 2)
            ticks += (double)(user + kernel);
        fclose(file);
    }
    return ticks / (double)sysconf(_SC_CLK_TCK);
}

// Memory of the proxy in kB, shared pages divided among those who share them.
static double memory(void) {
    pid_t list[256];
    int count = processes(list, 256);
    double sum = 0;
    for (int i = 0; i < count; i++) {
        char path[64], line[256];
        double value;
        snprintf(path, sizeof path, "/proc/%d/smaps_rollup", list[i]);
        FILE *file = fopen(path, "r");
        if (!file) continue;
        while (fgets(line, sizeof line, file))
            if (sscanf(line, "Pss: %lf", &value) == 1) sum += value;
        fclose(file);
    }
    return sum;
}

// Memory of the kernel's objects in kB, of the whole machine: sockets above all.
static double slab(void) {
    char line[256];
    double value = 0;
    FILE *file = fopen("/proc/meminfo", "r");
    if (!file) fail("/proc/meminfo");
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "Slab: %lf", &value) == 1) break;
    fclose(file);
    return value;
}

// --- Blocking transfers -----------------------------------------------------------------------------------------

static int read_all(int fd, void *bytes, size_t size) {
    for (size_t got = 0; got < size;) {
        ssize_t count = read(fd, (char *)bytes + got, size - got);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return -1;
        got += (size_t)count;
    }
    return 0;
}

static int write_all(int fd, const void *bytes, size_t size) {
    for (size_t sent = 0; sent < size;) {
        ssize_t count = send(fd, (const char *)bytes + sent, size - sent, MSG_NOSIGNAL);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return -1;
        sent += (size_t)count;
    }
    return 0;
}

// --- The origin server ------------------------------------------------------------------------------------------
// A client's first 16 bytes say what it wants by the first of them: E sends everything back, D is sent bytes until
// it closes, U sends bytes and is told their number after its end.

struct served {
    int fd;
    size_t got;
    char request[REQUEST];
};

static void *serve_bulk(void *argument) {
    struct served *client = argument;
    char *bytes = calloc(1, BULK);
    uint64_t total = 0;
    fcntl(client->fd, F_SETFL, fcntl(client->fd, F_GETFL) & ~O_NONBLOCK);
    if (client->request[0] == 'D') {
        while (!write_all(client->fd, bytes, BULK)) {}
    } else {
        for (ssize_t count; (count = read(client->fd, bytes, BULK)) > 0;) total += (uint64_t)count;
        write_all(client->fd, &total, sizeof total);
    }
    close(client->fd);
    free(bytes);
    free(client);
    return NULL;
}

// Goes as far as the bytes that are there lead; -1: the client is done, 1: a thread has it now.
static int serve_client(struct served *client) {
    static char bytes[64 << 10];
    ssize_t count;
    while (client->got < REQUEST) {
        count = read(client->fd, client->request + client->got, REQUEST - client->got);
        if (count <= 0) return count < 0 && errno == EAGAIN ? 0 : -1;
        client->got += (size_t)count;
        if (client->got == REQUEST && client->request[0] != 'E') {
            pthread_t thread;
            pthread_attr_t detached;
            epoll_ctl(events, EPOLL_CTL_DEL, client->fd, NULL);
            pthread_attr_init(&detached);
            pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
            if (pthread_create(&thread, &detached, serve_bulk, client)) fail("pthread_create");
            return 1;
        }
    }
    while ((count = read(client->fd, bytes, sizeof bytes)) > 0) {
        if (send(client->fd, bytes, (size_t)count, MSG_NOSIGNAL) != count) return -1;
        if ((size_t)count < sizeof bytes) return 0;
    }
    return count < 0 && errno == EAGAIN ? 0 : -1;
}

static _Noreturn void serve(void) {
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&origin, sizeof origin) || listen(listener, 8192)) fail(origin_text);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, list[256];
    epoll_ctl(events, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int count = epoll_wait(events, list, 256, -1);
        for (int i = 0; i < count; i++) {
            struct served *client = list[i].data.ptr;
            if (client) {
                if (serve_client(client) >= 0) continue;
                close(client->fd);
                free(client);
                continue;
            }
            for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
                no_delay(fd);
                client = calloc(1, sizeof *client);
                client->fd = fd;
                event.data.ptr = client;
                epoll_ctl(events, EPOLL_CTL_ADD, fd, &event);
            }
        }
    }
}

// --- Clients that don't block -----------------------------------------------------------------------------------

enum state { CONNECTING, HEAD, ECHO, RESTING };

struct client {
    int fd;
    enum state state;
    size_t got, missing;
    double began;
    char head[1024];
};

static int dial(int flags) {
    const struct sockaddr_in *address = proxy_text ? &proxy : &origin;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    if (fd < 0) fail("socket");
    no_delay(fd);
    if (connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 || errno == EINPROGRESS) return fd;
    close(fd);
    return -1;
}

static int start(struct client *client) {
    *client = (struct client){.fd = -1, .state = CONNECTING, .began = now()};
    client->fd = dial(SOCK_NONBLOCK);
    if (client->fd < 0) return -1;
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = client};
    return epoll_ctl(events, EPOLL_CTL_ADD, client->fd, &event);
}

static void stop(struct client *client) {
    if (client->fd >= 0) close(client->fd);
    client->fd = -1;
}

// Sends a message that comes back; before the first one the word that asks for that.
static int ask(struct client *client, int first) {
    char bytes[REQUEST + MESSAGE] = "E";
    size_t skip = first ? 0 : REQUEST;
    client->state = ECHO;
    client->missing = MESSAGE;
    if (!first) client->began = now();
    ssize_t size = (ssize_t)(sizeof bytes - skip);
    return send(client->fd, bytes + skip, (size_t)size, MSG_NOSIGNAL) == size ? 0 : -1;
}

static void refused(const char *head) {
    static int said;
    if (said++ < 3) fprintf(stderr, "loadgen: the proxy said %.60s\n", head);
}

// Goes on after an event: 1 when the message is back, 0 to wait, -1 when the tunnel broke.
static int step(struct client *client) {
    char bytes[4096];
    ssize_t count;
    switch (client->state) {
    case CONNECTING: {
        int code = 0;
        socklen_t size = sizeof code;
        getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &code, &size);
        if (code) return -1;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
        epoll_ctl(events, EPOLL_CTL_MOD, client->fd, &event);
        if (!proxy_text) return ask(client, 1);
        client->state = HEAD;
        return send(client->fd, connect_head, connect_length, MSG_NOSIGNAL) == (ssize_t)connect_length ? 0 : -1;
    }
    case HEAD:
        count = read(client->fd, client->head + client->got, sizeof client->head - 1 - client->got);
        if (count <= 0) return count < 0 && errno == EAGAIN ? 0 : -1;
        client->got += (size_t)count;
        client->head[client->got] = 0;
        if (!strstr(client->head, "\r\n\r\n")) return client->got < sizeof client->head - 1 ? 0 : -1;
        if (client->got > 12 && !memcmp(client->head + 9, "200", 3)) return ask(client, 1);
        refused(client->head);
        return -1;
    case ECHO:
        count = read(client->fd, bytes, sizeof bytes);
        if (count <= 0) return count < 0 && errno == EAGAIN ? 0 : -1;
        client->missing -= (size_t)count < client->missing ? (size_t)count : client->missing;
        return client->missing == 0;
    case RESTING:
        return -1;
    }
    return -1;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int report(const char *mode, int clients, double *times, int count, int errors, double wall, double used) {
    if (count == 0) {
        printf("{\"mode\":\"%s\",\"clients\":%d,\"count\":0,\"errors\":%d}\n", mode, clients, errors);
        return 1;
    }
    qsort(times, (size_t)count, sizeof *times, ascending);
    printf("{\"mode\":\"%s\",\"clients\":%d,\"count\":%d,\"errors\":%d,\"per_second\":%.1f,\"p50_us\":%.1f,"
           "\"p99_us\":%.1f,\"cpu_us\":%.2f}\n",
        mode, clients, count, errors, count / wall, times[count / 2] * 1e6, times[(size_t)(count * .99)] * 1e6,
        used / count * 1e6);
    return 0;
}

static int tunnels(int clients, int wanted, double seconds) {
    struct client *all = calloc((size_t)clients, sizeof *all);
    double *times = calloc((size_t)wanted, sizeof *times), used = cpu(), began = now();
    struct epoll_event list[256];
    int done = 0, begun = 0, errors = 0, open = 0;
    for (int i = 0; i < clients && begun < wanted; i++, begun++) {
        if (start(&all[i])) errors++;
        else open++;
    }
    while (open > 0 && now() - began < seconds && errors <= wanted / 10 + 10) {
        int count = epoll_wait(events, list, 256, 1000);
        for (int i = 0; i < count; i++) {
            struct client *client = list[i].data.ptr;
            int result = step(client);
            if (result == 0) continue;
            if (result > 0) times[done++] = now() - client->began;
            else errors++;
            stop(client);
            open--;
            if (begun >= wanted) continue;
            begun++;
            if (start(client)) errors++;
            else open++;
        }
    }
    double wall = now() - began;
    return report("tunnels", clients, times, done, errors, wall, cpu() - used);
}

// Opens tunnels, a few at a time, and sends one message over each; the number that stands then.
static int open_tunnels(struct client *all, int wanted) {
    struct epoll_event list[256];
    int open = 0, begun = 0, waiting = 0, errors = 0;
    double began = now();
    while (open + errors < wanted && now() - began < 60) {
        while (waiting < 32 && begun < wanted) {
            if (start(&all[begun++])) errors++;
            else waiting++;
        }
        int count = epoll_wait(events, list, 256, 1000);
        for (int i = 0; i < count; i++) {
            struct client *client = list[i].data.ptr;
            int result = step(client);
            if (result == 0) continue;
            if (client->state != RESTING) waiting--;
            if (result > 0) {
                client->state = RESTING;
                open++;
            } else {
                errors++;
                stop(client);
            }
        }
    }
    return open;
}

static int trips(int clients, int wanted, double seconds) {
    struct client *all = calloc((size_t)clients, sizeof *all);
    double *times = calloc((size_t)wanted, sizeof *times);
    struct epoll_event list[256];
    int open = open_tunnels(all, clients), done = 0, errors = clients - open;
    double used = cpu(), began = now();
    for (int i = 0; i < clients; i++)
        if (all[i].fd >= 0 && ask(&all[i], 0)) errors++;
    while (open > 0 && done < wanted && now() - began < seconds) {
        int count = epoll_wait(events, list, 256, 1000);
        for (int i = 0; i < count; i++) {
            struct client *client = list[i].data.ptr;
            int result = step(client);
            if (result == 0) continue;
            if (result > 0 && done < wanted) times[done++] = now() - client->began;
            if (result > 0 && !ask(client, 0)) continue;
            errors++;
            open--;
            stop(client);
        }
    }
    double wall = now() - began;
    return report("trips", clients, times, done, errors, wall, cpu() - used);
}

static int idle(int wanted) {
    struct client *all = calloc((size_t)wanted, sizeof *all);
    double memory_before = memory(), slab_before = slab(), began = now();
    int open = open_tunnels(all, wanted);
    double opened = now() - began;
    sleep_for(1.5);
    double used = cpu();
    sleep_for(1);
    used = cpu() - used;
    double more = memory() - memory_before, kernel = slab() - slab_before;
    for (int i = 0; i < wanted; i++) stop(&all[i]);
    printf("{\"mode\":\"idle\",\"wanted\":%d,\"open\":%d,\"seconds\":%.2f,\"kB_before\":%.0f,\"kB_each\":%.2f,"
           "\"slab_kB_each\":%.2f,\"idle_cpu\":%.3f}\n",
        wanted, open, opened, memory_before, open ? more / open : 0, open ? kernel / open : 0, used);
    return open == 0;
}

// --- Bulk -------------------------------------------------------------------------------------------------------

static atomic_ullong moved;
static atomic_int ended, ready, go;
static char direction = 'D';

static int open_blocking(void) {
    int fd = dial(0);
    char head[1024];
    size_t got = 0;
    if (fd < 0 || !proxy_text) return fd;
    if (write_all(fd, connect_head, connect_length)) goto bad;
    // Byte by byte: what follows the head belongs to the tunnel.
    while (got < sizeof head - 1 && (got < 4 || memcmp(head + got - 4, "\r\n\r\n", 4)))
        if (read_all(fd, head + got++, 1)) goto bad;
    head[got] = 0;
    if (got > 12 && !memcmp(head + 9, "200", 3)) return fd;
    refused(head);
bad:
    close(fd);
    return -1;
}

static void *bulk_client(void *argument) {
    int *failed = argument, fd = open_blocking();
    char request[REQUEST] = {direction}, *bytes = calloc(1, BULK);
    *failed = fd < 0 || write_all(fd, request, sizeof request);
    ready++;
    while (!go) sleep_for(1e-4);
    if (*failed) return NULL;
    if (direction == 'U') {
        uint64_t arrived;
        struct timeval patience = {.tv_sec = 10};
        while (!ended && !write_all(fd, bytes, BULK)) moved += BULK;
        shutdown(fd, SHUT_WR);
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        // The number that the origin server counted: everything has to arrive, and the way back is still open.
        *failed = read_all(fd, &arrived, sizeof arrived) || arrived % BULK;
    } else {
        ssize_t count;
        while (!ended && (count = read(fd, bytes, BULK)) > 0) moved += (unsigned long long)count;
        *failed = !ended;
    }
    close(fd);
    free(bytes);
    return NULL;
}

static int bulk(int clients, double seconds) {
    pthread_t threads[MOST_CLIENTS];
    int failed[MOST_CLIENTS], failures = 0;
    for (int i = 0; i < clients; i++)
        if (pthread_create(&threads[i], NULL, bulk_client, &failed[i])) fail("pthread_create");
    while (ready < clients) sleep_for(1e-3);
    double used = cpu(), began = now();
    go = 1;
    sleep_for(seconds);
    double wall = now() - began, gigabytes = (double)moved / 1e9;
    used = cpu() - used;
    ended = 1;
    for (int i = 0; i < clients; i++) {
        pthread_join(threads[i], NULL);
        failures += failed[i];
    }
    if (gigabytes == 0) return 1;
    printf("{\"mode\":\"bulk\",\"direction\":\"%s\",\"clients\":%d,\"errors\":%d,\"GB_per_second\":%.4f,"
           "\"cpu_seconds_per_GB\":%.4f}\n",
        direction == 'D' ? "down" : "up", clients, failures, gigabytes / wall, used / gigabytes);
    return 0;
}

int main(int count, char **argument) {
    const char *mode = count > 1 ? argument[1] : "";
    int clients = 1, wanted = 1000, option;
    double seconds = 3;
    struct rlimit files = {20000, 20000};
    signal(SIGPIPE, SIG_IGN);
    optind = 2;
    while ((option = getopt(count, argument, "x:o:a:P:c:n:d:s:")) != -1) switch (option) {
        case 'x': proxy_text = optarg; break;
        case 'o': origin_text = optarg; break;
        case 'a': target = optarg; break;
        case 'P': proxy_pid = atoi(optarg); break;
        case 'c': clients = atoi(optarg); break;
        case 'n': wanted = atoi(optarg); break;
        case 'd': direction = optarg[0] == 'u' ? 'U' : 'D'; break;
        case 's': seconds = atof(optarg); break;
        default: return 2;
        }
    if (clients < 1 || clients > MOST_CLIENTS || wanted < 1 || seconds <= 0) {
        fprintf(stderr, "loadgen: -c 1…%d, -n and -s above 0\n", MOST_CLIENTS);
        return 2;
    }
    if (proxy_text) proxy = parse(proxy_text);
    origin = parse(origin_text);
    if (!target) target = origin_text;
    int length = snprintf(connect_head, sizeof connect_head, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", target, target);
    if (length < 0 || (size_t)length >= sizeof connect_head) return 2;
    connect_length = (size_t)length;
    // A lower hard limit is the user's; opening more than it allows shows as errors in the result.
    struct rlimit present;
    getrlimit(RLIMIT_NOFILE, &present);
    if (present.rlim_max < files.rlim_max) files.rlim_cur = files.rlim_max = present.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    events = epoll_create1(EPOLL_CLOEXEC);
    if (!strcmp(mode, "serve")) serve();
    if (!strcmp(mode, "tunnels")) return tunnels(clients, wanted, seconds);
    if (!strcmp(mode, "trips")) return trips(clients, wanted, seconds);
    if (!strcmp(mode, "idle")) return idle(wanted);
    if (!strcmp(mode, "bulk")) return bulk(clients, seconds);
    fprintf(stderr, "loadgen: serve, tunnels, trips, bulk or idle\n");
    return 2;
}

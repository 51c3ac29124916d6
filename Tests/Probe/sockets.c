// Sockets, System V and POSIX IPC. Each act stores what the kernel answered and says what it saw.
#define _GNU_SOURCE
#include "probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <mqueue.h>
#include <poll.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/un.h>
#include <unistd.h>

// --- Sockets -------------------------------------------------------------------------------------------------

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

// --- IPC -----------------------------------------------------------------------------------------------------

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

const struct named_act acts_sockets[] = {
    { "tcp-pair", act_tcp_pair },
    { "flood", act_flood },
    { "sockets", act_sockets },
    { "tcp", act_internet },
    { "udp", act_internet },
    { "listen", act_listen },
    { "unix", act_unix },
    { "unix-pair", act_unix_pair },
    { "interfaces", act_interfaces },
    { "sysv", act_sysv },
    { "sysv-make", act_sysv_make },
    { "sysv-remove", act_sysv_remove },
    { "queue", act_queue },
    { "queue-make", act_queue },
    { "queue-remove", act_queue },
    { NULL, NULL },
};

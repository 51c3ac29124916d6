#define _GNU_SOURCE
#include "sockets.h"

#include <endian.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

int box_bind_loopback(int fd, uint16_t port) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return bind(fd, (const struct sockaddr *)&address, sizeof address);
}

static int unix_address(struct sockaddr_un *address, const char *path) {
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    size_t length = strlen(path);
    if (length >= sizeof address->sun_path) { errno = ENAMETOOLONG; return -1; }
    memcpy(address->sun_path, path, length);
    return 0;
}

int box_bind_unix(int fd, const char *path) {
    struct sockaddr_un address;
    if (unix_address(&address, path)) return -1;
    return bind(fd, (const struct sockaddr *)&address, sizeof address);
}

int box_connect_unix(int fd, const char *path) {
    struct sockaddr_un address;
    if (unix_address(&address, path)) return -1;
    return connect(fd, (const struct sockaddr *)&address, sizeof address);
}

int box_accept(int fd) { return accept4(fd, 0, 0, SOCK_CLOEXEC | SOCK_NONBLOCK); }

int box_peer_uid(int fd, uid_t *uid) {
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size)) return -1;
    *uid = peer.uid;
    return 0;
}

union any_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static void endpoint_of(const union any_address *address, struct box_endpoint *endpoint) {
    memset(endpoint, 0, sizeof *endpoint);
    if (address->any.sa_family == AF_INET) {
        endpoint->low = ntohl(address->v4.sin_addr.s_addr);
        endpoint->port = ntohs(address->v4.sin_port);
    } else if (address->any.sa_family == AF_INET6) {
        memcpy(&endpoint->high, &address->v6.sin6_addr.s6_addr[0], 8);
        memcpy(&endpoint->low, &address->v6.sin6_addr.s6_addr[8], 8);
        endpoint->high = be64toh(endpoint->high);
        endpoint->low = be64toh(endpoint->low);
        endpoint->port = ntohs(address->v6.sin6_port);
    } else {
        return;
    }
    endpoint->family = address->any.sa_family;
}

static socklen_t address_of(const struct box_endpoint *endpoint, union any_address *address) {
    memset(address, 0, sizeof *address);
    address->any.sa_family = endpoint->family;
    if (endpoint->family == AF_INET) {
        address->v4.sin_port = htons(endpoint->port);
        address->v4.sin_addr.s_addr = htonl((uint32_t)endpoint->low);
        return sizeof address->v4;
    }
    uint64_t high = htobe64(endpoint->high), low = htobe64(endpoint->low);
    memcpy(&address->v6.sin6_addr.s6_addr[0], &high, 8);
    memcpy(&address->v6.sin6_addr.s6_addr[8], &low, 8);
    address->v6.sin6_port = htons(endpoint->port);
    return sizeof address->v6;
}

int box_accept_from(int fd, struct box_endpoint *peer) {
    union any_address address = {0};
    socklen_t size = sizeof address;
    int accepted = accept4(fd, &address.any, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (accepted >= 0) endpoint_of(&address, peer);
    return accepted;
}

int box_tcp_socket(uint16_t family) { return socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); }

int box_connect(int fd, const struct box_endpoint *to) {
    union any_address address;
    socklen_t size = address_of(to, &address);
    return connect(fd, &address.any, size);
}

int box_local_endpoint(int fd, struct box_endpoint *local) {
    union any_address address = {0};
    socklen_t size = sizeof address;
    if (getsockname(fd, &address.any, &size)) return -1;
    endpoint_of(&address, local);
    return 0;
}

ssize_t box_receive_from(int fd, void *bytes, size_t size, struct box_endpoint *from) {
    union any_address address = {0};
    socklen_t length = sizeof address;
    ssize_t got = recvfrom(fd, bytes, size, MSG_DONTWAIT, &address.any, &length);
    if (got >= 0) endpoint_of(&address, from);
    return got;
}

ssize_t box_send_to(int fd, const void *bytes, size_t size, const struct box_endpoint *to) {
    union any_address address;
    socklen_t length = address_of(to, &address);
    return sendto(fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL, &address.any, length);
}

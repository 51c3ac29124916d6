#define _GNU_SOURCE
#include "sockets.h"

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

// Socket calls whose arguments, a sockaddr_in seen as a sockaddr, Swift can only say with casts, and what glibc
// hides from it behind _GNU_SOURCE.
#ifndef CLINUX_SOCKETS_H
#define CLINUX_SOCKETS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// bind(2) to 127.0.0.1:port.
int box_bind_loopback(int fd, uint16_t port);
// bind(2) and connect(2) of a UNIX socket; the path must fit its 107 bytes.
int box_bind_unix(int fd, const char *path);
int box_connect_unix(int fd, const char *path);
// accept4(2), close-on-exec and non-blocking.
int box_accept(int fd);

// An end of a TCP or UDP socket: family AF_INET, with the address in the low 32 bits, or AF_INET6; others have no
// address. All numbers are in host order.
struct box_endpoint {
    uint64_t high, low;
    uint16_t port, family;
};
// accept4(2), close-on-exec and non-blocking, and who connected.
int box_accept_from(int fd, struct box_endpoint *peer);
// socket(2) of that family, close-on-exec and non-blocking, for TCP.
int box_tcp_socket(uint16_t family);
int box_connect(int fd, const struct box_endpoint *to);
// getsockname(2).
int box_local_endpoint(int fd, struct box_endpoint *local);
// recvfrom(2) and sendto(2), without waiting.
ssize_t box_receive_from(int fd, void *bytes, size_t size, struct box_endpoint *from);
ssize_t box_send_to(int fd, const void *bytes, size_t size, const struct box_endpoint *to);
// The uid of a UNIX socket's peer, as it was when it connected (SO_PEERCRED).
int box_peer_uid(int fd, uid_t *uid);
#endif

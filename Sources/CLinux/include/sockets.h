// Socket calls whose arguments, a sockaddr_in seen as a sockaddr, Swift can only say with casts, and what glibc
// hides from it behind _GNU_SOURCE.
#ifndef CLINUX_SOCKETS_H
#define CLINUX_SOCKETS_H

#include <stdint.h>
#include <sys/types.h>

// bind(2) to 127.0.0.1:port.
int box_bind_loopback(int fd, uint16_t port);
// bind(2) and connect(2) of a UNIX socket; the path must fit its 107 bytes.
int box_bind_unix(int fd, const char *path);
int box_connect_unix(int fd, const char *path);
// accept4(2), close-on-exec and non-blocking.
int box_accept(int fd);
// The uid of a UNIX socket's peer, as it was when it connected (SO_PEERCRED).
int box_peer_uid(int fd, uid_t *uid);
#endif

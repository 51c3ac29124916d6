// The socket call whose argument, a sockaddr_in seen as a sockaddr, Swift can only say with casts.
#ifndef CLINUX_SOCKETS_H
#define CLINUX_SOCKETS_H

#include <stdint.h>

// bind(2) to 127.0.0.1:port, and to [::1]:port alone.
int box_bind_loopback(int fd, uint16_t port);
int box_bind_loopback6(int fd, uint16_t port);
#endif

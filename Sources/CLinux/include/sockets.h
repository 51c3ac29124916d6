// The one socket call whose argument, a sockaddr_in seen as a sockaddr, Swift can only say with casts.
#ifndef CLINUX_SOCKETS_H
#define CLINUX_SOCKETS_H

#include <stdint.h>

// bind(2) to 127.0.0.1:port.
int box_bind_loopback(int fd, uint16_t port);
#endif

#define _GNU_SOURCE
#include "sockets.h"

#include <netinet/in.h>
#include <sys/socket.h>

int box_bind_loopback(int fd, uint16_t port) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return bind(fd, (const struct sockaddr *)&address, sizeof address);
}

#define _GNU_SOURCE
#include "sockets.h"

#include <netinet/in.h>
#include <sys/socket.h>

int box_bind_loopback6(int fd, uint16_t port) {
    struct sockaddr_in6 address = {
        .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int only = 1;
    if (setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only)) return -1;
    return bind(fd, (const struct sockaddr *)&address, sizeof address);
}

int box_bind_loopback(int fd, uint16_t port) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return bind(fd, (const struct sockaddr *)&address, sizeof address);
}

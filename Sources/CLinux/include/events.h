// Waiting for many descriptors: epoll(7) and eventfd(2), which glibc has outside of what Swift's Glibc offers.
#ifndef CLINUX_EVENTS_H
#define CLINUX_EVENTS_H

#include <stdint.h>

// One descriptor that something happened to: which events, and the number that was given with it.
struct box_ready {
    uint32_t events;
    uint64_t data;
};

int box_epoll_create(void);                             // close-on-exec
int box_epoll_add(int epoll, int fd, uint32_t events, uint64_t data);
// The same for a descriptor that was added before: other events and another number from now on.
int box_epoll_change(int epoll, int fd, uint32_t events, uint64_t data);
int box_epoll_remove(int epoll, int fd);
// Waits at most `milliseconds` (-1: forever) and stores at most `most` (up to 256) of what is ready.
int box_epoll_wait(int epoll, struct box_ready *ready, int most, int milliseconds);
int box_eventfd(void);                                  // close-on-exec, non-blocking, counts from 0

extern const uint32_t BOX_EPOLLIN, BOX_EPOLLOUT, BOX_EPOLLRDHUP, BOX_EPOLLHUP, BOX_EPOLLERR, BOX_EPOLLET;
#endif

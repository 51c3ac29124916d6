#define _GNU_SOURCE
#include "events.h"

#include <stddef.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

const uint32_t BOX_EPOLLIN = EPOLLIN, BOX_EPOLLOUT = EPOLLOUT, BOX_EPOLLRDHUP = EPOLLRDHUP,
    BOX_EPOLLHUP = EPOLLHUP, BOX_EPOLLERR = EPOLLERR, BOX_EPOLLET = EPOLLET;

int box_epoll_create(void) { return epoll_create1(EPOLL_CLOEXEC); }

int box_epoll_add(int epoll, int fd, uint32_t events, uint64_t data) {
    struct epoll_event event = {.events = events, .data.u64 = data};
    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

int box_epoll_change(int epoll, int fd, uint32_t events, uint64_t data) {
    struct epoll_event event = {.events = events, .data.u64 = data};
    return epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event);
}

int box_epoll_remove(int epoll, int fd) {
    struct epoll_event event = {0};
    return epoll_ctl(epoll, EPOLL_CTL_DEL, fd, &event);
}

int box_epoll_wait(int epoll, struct box_ready *ready, int most, int milliseconds) {
    // The kernel's structure is packed on some architectures, which Swift can't say.
    struct epoll_event events[256];
    int count = epoll_wait(epoll, events, most < 256 ? most : 256, milliseconds);
    for (int i = 0; i < count; i++) ready[i] = (struct box_ready){events[i].events, events[i].data.u64};
    return count;
}

int box_eventfd(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }

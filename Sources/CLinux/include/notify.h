// System calls that wait for another process's answer (seccomp_unotify(2); notify.c), and what is needed to look at
// such a call. All return -1 with errno on failure.
#ifndef CLINUX_NOTIFY_H
#define CLINUX_NOTIFY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/xattr.h>

// A call that waits.
struct box_notification {
    uint64_t id;
    uint64_t arguments[6];
    pid_t task;            // the thread that makes it, as this process's /proc names it
    int32_t number;
};

// Installs a compiled filter for the calling thread and returns its listener (close-on-exec). A call that was received
// waits through signals that do not kill, where the kernel can do that (Linux 5.19).
int box_seccomp_listen(const void *program, size_t bytes);
// Receives the next call; ENOENT: it was given up before it could be received.
int box_notification_receive(int listener, struct box_notification *notification);
// Lets the kernel perform the call (error 0) or fail it. ENOENT: nobody waits for this answer any more.
int box_notification_answer(int listener, uint64_t id, int error);
// 1: the call still waits, so its task is the one that made it. 0: it was given up.
int box_notification_waits(int listener, uint64_t id);

// Whether an open place is on an overlay: 1 or 0.
int box_is_overlay(int fd);
// When an open file or place was made, where its file system keeps that: 1 or 0. Of an overlay's file it is the time at
// which the one was made that lies in the layer now.
int box_birth(int fd, int64_t *seconds, int64_t *nanoseconds);
#endif

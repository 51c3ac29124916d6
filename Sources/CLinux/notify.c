#define _GNU_SOURCE
#include "notify.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/magic.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

// Younger than some headers: Linux 5.19, Linux 6.6.
#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif
#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#endif

// Room for structures of a younger kernel, which are longer: both sides must agree on their size beforehand.
enum { longest = 1024 };

int box_seccomp_listen(const void *program, size_t bytes) {
    struct seccomp_notif_sizes sizes;
    struct sock_fprog filter = {
        .len = (unsigned short)(bytes / sizeof(struct sock_filter)), .filter = (struct sock_filter *)program};
    if (bytes % sizeof(struct sock_filter) || bytes / sizeof(struct sock_filter) > BPF_MAXINSNS) {
        errno = EINVAL;
        return -1;
    }
    if (syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes)) return -1;
    if (sizes.seccomp_notif > longest || sizes.seccomp_notif_resp > longest) {
        errno = EOVERFLOW;
        return -1;
    }
    unsigned long flags = SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    int listener = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &filter);
    if (listener < 0 && errno == EINVAL) {
        flags = SECCOMP_FILTER_FLAG_NEW_LISTENER;
        listener = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &filter);
    }
    if (listener < 0) return -1;
    // Only faster: an answer hands the processor over to the task. Kernels without it refuse, and all is as before.
    ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
    return listener;
}

int box_notification_receive(int listener, struct box_notification *notification) {
    union { struct seccomp_notif call; char room[longest]; } received;
    int result;
    do {
        // The kernel wants to find it empty.
        memset(&received, 0, sizeof received);
        result = ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &received);
    } while (result < 0 && errno == EINTR);
    if (result < 0) return -1;
    notification->id = received.call.id;
    notification->task = (pid_t)received.call.pid;
    notification->number = received.call.data.nr;
    for (int i = 0; i < 6; i++) notification->arguments[i] = received.call.data.args[i];
    return 0;
}

int box_notification_answer(int listener, uint64_t id, int error) {
    union { struct seccomp_notif_resp answer; char room[longest]; } sent;
    memset(&sent, 0, sizeof sent);
    sent.answer.id = id;
    sent.answer.error = -error;
    sent.answer.flags = error ? 0 : SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    int result;
    do result = ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &sent); while (result < 0 && errno == EINTR);
    return result;
}

int box_notification_waits(int listener, uint64_t id) {
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0) return 1;
    return errno == ENOENT ? 0 : -1;
}

int box_is_overlay(int fd) {
    struct statfs system;
    if (fstatfs(fd, &system)) return -1;
    return system.f_type == OVERLAYFS_SUPER_MAGIC;
}

int box_birth(int fd, int64_t *seconds, int64_t *nanoseconds) {
    struct statx status;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &status)) return -1;
    *seconds = status.stx_btime.tv_sec;
    *nanoseconds = status.stx_btime.tv_nsec;
    return (status.stx_mask & STATX_BTIME) != 0;
}

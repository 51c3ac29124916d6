// A user namespace as a descriptor, without a process that lives in it (userns.c).
#ifndef CLINUX_USERNS_H
#define CLINUX_USERNS_H

#include <sys/types.h>

// Makes a user namespace that maps one user and one group id, and returns a descriptor of it, for idmapped
// mounts. A child is started in the namespace, mapped, and ended again; the caller sees no SIGCHLD. Returns -1
// with errno on failure, and no process is left. The caller must be single-threaded or must not care that
// signals are blocked for its thread meanwhile.
int box_user_namespace(uid_t uid_inside, uid_t uid_outside, gid_t gid_inside, gid_t gid_outside);
#endif

// What copies of files need besides (copying.c). They return -1 with errno on failure and repeat
// nothing after a signal.
#ifndef CLINUX_COPYING_H
#define CLINUX_COPYING_H

#include <stdint.h>
#include <sys/types.h>

int box_clone_file(int to, int from);                   // FICLONE: `to` shares all blocks of `from`
extern const int BOX_SEEK_DATA, BOX_SEEK_HOLE;
// copy_file_range(2) with the same offset in both files.
ssize_t box_copy_range(int from, int to, int64_t offset, size_t count);
// Fetches size and times of an open file from where it really lies, for what fstat(2) says next
// (AT_STATX_FORCE_SYNC): clients of shared file systems answer from memory otherwise.
int box_fetch_attributes(int fd);
// Whether an open file lies on a FUSE file system (virtiofs is one): 1 or 0.
int box_is_fuse(int fd);
// Makes the kernel's cache stay out of reads from an open file as far as it can: O_DIRECT, if the file system has it,
// and no reading ahead.
int box_avoid_cache(int fd);
#endif

// What an overlay's upper layer has that glibc keeps from Swift: extended attributes.
#ifndef CLINUX_OVERLAY_H
#define CLINUX_OVERLAY_H

#include <stddef.h>
#include <sys/types.h>

// fgetxattr(2) of an open file or directory.
ssize_t box_get_attribute(int fd, const char *name, void *value, size_t size);
// lgetxattr(2) of a name in an open directory (needs /proc). A value that does not fit is ERANGE.
ssize_t box_get_attribute_at(int directory, const char *file, const char *name, void *value, size_t size);
// Whether an open file lies in memory (tmpfs, ramfs): a write through a mapping need not change its times there.
int box_is_in_memory(int fd);
#endif

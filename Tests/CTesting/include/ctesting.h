// What the black-box suite needs of C: starting a program with exactly the streams, session and terminal it shall
// have, and terminals. glibc hides the calls behind _GNU_SOURCE, or they are variadic.
#ifndef CTESTING_H
#define CTESTING_H

#include <sys/types.h>

// A new terminal of this size, close-on-exec; stores its path. Returns its master or -1 with errno.
int ct_terminal(int rows, int columns, char *path, int room);

// Changes a terminal's size, as a terminal emulator does. Returns 0, or -1 with errno.
int ct_resize(int master, int rows, int columns);

// Two close-on-exec pipe ends, the harness's non-blocking. Returns 0, or -1 with errno.
int ct_pipe(int ends[2], int harness_end);

// Starts a program as the leader of a session of its own, with default signals, in the directory, with no
// descriptor but `streams` as 0, 1 and 2. With a terminal path the terminal is all three and controls the session.
// Returns its pid, or -1 with the errno of what failed, exec included.
pid_t ct_start(char *const arguments[], char *const environment[], const char *directory, const int streams[3],
               const char *terminal);

// Sentinels: something that listens on the host and that nobody inside may reach. Nothing is accepted until
// ct_reached, which tells whether anyone connected.
int ct_listen_unix(const char *name, int abstract);
int ct_listen_tcp(const char *address, int *port);
int ct_reached(int listener);

// Extended attributes of a path itself, no link followed: for each one the name, NUL, the value's length (a size_t) and
// the value. Returns the number of bytes in the buffer, or -1 with errno; ERANGE if there is no room.
ssize_t ct_attributes(const char *path, char *buffer, size_t room);
// Sets one. Returns 0, or -1 with errno.
int ct_set_attribute(const char *path, const char *name, const char *value, size_t size);

#endif

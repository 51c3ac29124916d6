// Pseudo-terminals and the terminal's attributes: what Swift's importer does not see, and the handler that must
// be async-signal-safe.
#ifndef BOX_TERMINAL_H
#define BOX_TERMINAL_H

#include <termios.h>

// Unlocks the slave of a master from /dev/ptmx.
int box_pty_unlock(int master);
// The slave of a master, opened without its path (TIOCGPTPEER, Linux 4.13). Flags as for open(2).
int box_pty_peer(int master, int flags);

// From now on, a crash of this process (SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGTRAP) and exit(3) put these
// attributes back on the terminal before the process ends. One terminal at a time.
void box_terminal_guard(int fd, const struct termios *attributes);
// The attributes are back: the guard does nothing any more.
void box_terminal_unguard(void);
#endif

// The kernel's entry for programs of another architecture, which `box doctor --prove` tries (foreign.c).
#ifndef CLINUX_FOREIGN_H
#define CLINUX_FOREIGN_H

// getpid(2) by the 32-bit entry (int 0x80) of an x86_64 kernel: the process id, or what the kernel answers as a
// negative errno. A filter that knows only 64-bit numbers would not see it. 0 where the processor has no such entry.
long box_getpid_by_i386_entry(void);
#endif

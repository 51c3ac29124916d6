// One attempt and what came of it. The probe program tries one forbidden act after the other, each in a child of
// its own, and prints one line of JSON for each: what the kernel answered, never an opinion about it.
#ifndef PROBE_H
#define PROBE_H

#include <stddef.h>

struct outcome {
    long result;           // what the call returned; -1 with error set
    int error;             // errno, or 0
    char detail[24000];    // what else was seen: a list, a name, a number
};

// The words of one act, split at the commas; words[0] is its name.
struct act {
    int count;
    char *words[16];
};

// An act that is more than one system call. The tables end with an entry without a name.
struct named_act {
    const char *name;
    void (*run)(const struct act *, struct outcome *);
};
extern const struct named_act acts_files[], acts_processes[], acts_sockets[], acts_kernel[];

// A word of the act as a number or as text; 0 and "" where there is none.
long number_of(const struct act *act, int index);
const char *text_of(const struct act *act, int index);

// Runs `act` from its text, in this process.
void run_text(const char *text, struct outcome *outcome);

void say(struct outcome *outcome, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Stores the result of a call; reads errno, so it comes in the line after the call.
void store(struct outcome *outcome, long result);

#endif

// interleave: times the start and end of several commands, in turns (A B C A B C …), so that what the machine
// does meanwhile falls on all of them alike.
//
//   interleave [-f] [-n ROUNDS] [-w WARM_UP_ROUNDS] [-t SECONDS] --- NAME COMMAND [ARGUMENT…] --- NAME COMMAND …
//
// With -f the clock stops at the first byte that the command writes to standard output; one that writes none failed.
// Before COMMAND, @FD=FILE opens FILE as descriptor FD for every run anew (bwrap reads its filter from one).
// One line for each command on standard output, fields separated by tabs:
//   NAME  ROUNDS  FAILURES  MEDIAN  P90  P99  MINIMUM  CPU
// Times in milliseconds of wall clock; CPU is the mean of user and system time of the command and the children it
// waited for. A command that fails in its first warm-up round is taken out: its line says 0 rounds and, as
// FAILURES, its wait status. No round begins after SECONDS.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST_CONTENDERS = 32 };

struct contender {
    const char *name;
    char **command;
    const char *file;       // opened as descriptor file_fd for each run, or NULL
    int file_fd;
    double *milliseconds;   // one for each round
    int rounds, failures;
    double cpu_seconds;
    int broken_status;      // of the first warm-up round; not 0: out of the race
};

static double now(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double seconds(struct timeval t) { return (double)t.tv_sec + (double)t.tv_usec / 1e6; }

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// Waits for the first byte and reads the rest; returns when the byte came, 0 if there was none.
static double first_byte(int output) {
    char buffer[4096];
    double came = 0;
    while (read(output, buffer, sizeof buffer) > 0)
        if (came == 0) came = now(CLOCK_MONOTONIC);
    return came;
}

// Runs the command once with its streams at /dev/null, or standard output read; returns the wait status.
static int run(struct contender *c, int null, int until_output, double *wall, double *cpu) {
    int output[2] = {-1, null};
    if (until_output && pipe2(output, O_CLOEXEC) < 0) {
        perror("interleave");
        exit(1);
    }
    double start = now(CLOCK_MONOTONIC);
    pid_t child = vfork();
    if (child == 0) {
        dup2(null, 0);
        dup2(output[1], 1);
        if (!getenv("INTERLEAVE_STDERR")) dup2(null, 2);
        if (c->file) {
            int fd = open(c->file, O_RDONLY);
            if (fd < 0 || (fd != c->file_fd && dup2(fd, c->file_fd) < 0)) _exit(126);
        }
        execvp(c->command[0], c->command);
        _exit(127);
    }
    double came = 0;
    if (until_output) {
        close(output[1]);
        came = first_byte(output[0]);
        close(output[0]);
    }
    int status = 0;
    struct rusage usage;
    if (child < 0 || wait4(child, &status, 0, &usage) < 0) {
        perror("interleave");
        exit(1);
    }
    *wall = ((until_output ? came : now(CLOCK_MONOTONIC)) - start) * 1e3;
    *cpu = seconds(usage.ru_utime) + seconds(usage.ru_stime);
    return until_output && came == 0 && status == 0 ? 1 : status;
}

static void report(struct contender *c) {
    if (c->rounds == 0) {
        printf("%s\t0\t%d\t0\t0\t0\t0\t0\n", c->name, c->broken_status);
        return;
    }
    qsort(c->milliseconds, (size_t)c->rounds, sizeof(double), ascending);
    printf("%s\t%d\t%d\t%.3f\t%.3f\t%.3f\t%.3f\t%.3f\n", c->name, c->rounds, c->failures,
           c->milliseconds[c->rounds / 2], c->milliseconds[c->rounds * 9 / 10],
           c->milliseconds[c->rounds * 99 / 100], c->milliseconds[0], c->cpu_seconds * 1e3 / c->rounds);
}

// Takes a leading @FD=FILE off the command. False if there is no command.
static int take_file(struct contender *c) {
    if (c->command[0] && c->command[0][0] == '@') {
        const char *equals = strchr(c->command[0], '=');
        if (!equals) return 0;
        c->file_fd = atoi(c->command[0] + 1);
        c->file = equals + 1;
        c->command++;
    }
    return c->command[0] != NULL;
}

int main(int count, char **arguments) {
    int rounds = 100, warm_up = 3, until_output = 0, option;
    double limit = 300;
    // "---" is no option for getopt: the leading + makes it stop there.
    while ((option = getopt(count, arguments, "+fn:w:t:")) != -1) {
        if (option == 'f') until_output = 1;
        else if (option == 'n') rounds = atoi(optarg);
        else if (option == 'w') warm_up = atoi(optarg);
        else if (option == 't') limit = atof(optarg);
        else return 2;
        if (optind < count && strcmp(arguments[optind], "---") == 0) break;
    }
    if (rounds < 1 || warm_up < 1) return 2;

    struct contender contenders[MOST_CONTENDERS];
    int contender_count = 0;
    for (int i = optind; i < count; i++) {
        if (strcmp(arguments[i], "---") != 0) continue;
        arguments[i] = NULL;   // ends the command before it
        if (i + 2 >= count || contender_count == MOST_CONTENDERS) return 2;
        contenders[contender_count++] = (struct contender){
            .name = arguments[i + 1],
            .command = arguments + i + 2,
            .milliseconds = calloc((size_t)rounds, sizeof(double)),
        };
        i++;
    }
    if (contender_count == 0) return 2;
    for (int i = 0; i < contender_count; i++)
        if (!take_file(&contenders[i])) return 2;

    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    double start = now(CLOCK_MONOTONIC);
    for (int round = -warm_up; round < rounds; round++) {
        if (round > 0 && now(CLOCK_MONOTONIC) - start > limit) break;
        for (int i = 0; i < contender_count; i++) {
            struct contender *c = &contenders[i];
            if (c->broken_status != 0) continue;
            double wall, cpu;
            int status = run(c, null, until_output, &wall, &cpu);
            if (round == -warm_up) c->broken_status = status;
            if (round < 0) continue;
            c->milliseconds[c->rounds++] = wall;
            c->cpu_seconds += cpu;
            c->failures += status != 0;
        }
    }
    for (int i = 0; i < contender_count; i++) report(&contenders[i]);
    return 0;
}

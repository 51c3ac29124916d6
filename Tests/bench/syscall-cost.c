// syscall-cost: what one getppid(2) costs here, in nanoseconds: the least of several batches, pinned to one CPU.
// Run outside and inside of a sandbox, the difference is the seccomp filter.
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { BATCHES = 40, CALLS = 50000 };

int main(void) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(0, &one);
    if (sched_setaffinity(0, sizeof one, &one) != 0) perror("syscall-cost: not pinned");

    double least = 1e12;
    for (int batch = 0; batch < BATCHES; batch++) {
        struct timespec start, end;
        clock_gettime(CLOCK_MONOTONIC, &start);
        for (int i = 0; i < CALLS; i++) syscall(SYS_getppid);
        clock_gettime(CLOCK_MONOTONIC, &end);
        double spent = (double)(end.tv_sec - start.tv_sec) * 1e9 + (double)(end.tv_nsec - start.tv_nsec);
        if (spent / CALLS < least) least = spent / CALLS;
    }
    printf("%.1f\n", least);
    return 0;
}

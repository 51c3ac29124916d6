// rename-times: what rename(2) takes.
//
//   rename-times OLD NEW [OLD NEW…]   each pair once; prints microseconds, one line for each
//   rename-times -n COUNT NAME        a new file NAME there and back COUNT times; prints the median in microseconds
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double microseconds_of_rename(const char *from, const char *to) {
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    int result = rename(from, to);
    clock_gettime(CLOCK_MONOTONIC, &end);
    if (result < 0) {
        fprintf(stderr, "rename-times: %s to %s: %s\n", from, to, strerror(errno));
        exit(1);
    }
    return (double)(end.tv_sec - start.tv_sec) * 1e6 + (double)(end.tv_nsec - start.tv_nsec) / 1e3;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int there_and_back(int count, const char *name) {
    char *other;
    double *times = calloc((size_t)count * 2, sizeof *times);
    int file = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (count < 1 || !times || file < 0 || asprintf(&other, "%s-renamed", name) < 0) {
        fprintf(stderr, "rename-times: cannot make %s\n", name);
        return 1;
    }
    close(file);
    for (int i = 0; i < count; i++) {
        times[2 * i] = microseconds_of_rename(name, other);
        times[2 * i + 1] = microseconds_of_rename(other, name);
    }
    unlink(name);
    qsort(times, (size_t)count * 2, sizeof *times, ascending);
    printf("%.2f\n", times[count]);
    return 0;
}

int main(int count, char **arguments) {
    if (count == 4 && strcmp(arguments[1], "-n") == 0) return there_and_back(atoi(arguments[2]), arguments[3]);
    if (count < 3 || count % 2 == 0) {
        fprintf(stderr, "usage: rename-times OLD NEW [OLD NEW…] | rename-times -n COUNT NAME\n");
        return 2;
    }
    for (int i = 1; i < count; i += 2) printf("%.1f\n", microseconds_of_rename(arguments[i], arguments[i + 1]));
    return 0;
}

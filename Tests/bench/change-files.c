// change-files: makes the changes that a list names, below the working directory.
//
//   change-files <LIST
//
// Each line is a letter, a space and a path: `m` appends a line to the file, `a` adds it, with the directories it
// needs, `d` deletes it. Prints the milliseconds that took. Stops with status 1 at the first that cannot be done.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char line[] = "// changed by change-files, one line as programs write them\n";
enum { LINES_OF_A_NEW_FILE = 20 };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void fail(const char *path) {
    fprintf(stderr, "change-files: %s: %s\n", path, strerror(errno));
    exit(1);
}

static void append(const char *path, int flags, int lines) {
    int file = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | flags, 0644);
    if (file < 0) fail(path);
    while (lines-- > 0)
        if (write(file, line, sizeof line - 1) != sizeof line - 1) fail(path);
    if (close(file) < 0) fail(path);
}

static void add(char *path) {
    for (char *slash = path; (slash = strchr(slash, '/')); *slash++ = '/') {
        *slash = 0;
        if (mkdir(path, 0755) < 0 && errno != EEXIST) fail(path);
    }
    append(path, O_CREAT | O_EXCL, LINES_OF_A_NEW_FILE);
}

int main(void) {
    char *text = NULL;
    size_t room = 0;
    double start = now();
    for (ssize_t length; (length = getline(&text, &room, stdin)) > 0;) {
        if (text[length - 1] == '\n') text[--length] = 0;
        if (length < 3 || text[1] != ' ') {
            fprintf(stderr, "change-files: no such change: %s\n", text);
            return 2;
        }
        char *path = text + 2;
        if (text[0] == 'm') append(path, 0, 1);
        else if (text[0] == 'a') add(path);
        else if (text[0] == 'd') {
            if (unlink(path) < 0) fail(path);
        } else return 2;
    }
    free(text);
    printf("%.2f\n", now() - start);
    return 0;
}

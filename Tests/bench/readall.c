// readall: reads every regular file of a tree, with many threads.
//
//   readall DIRECTORY THREADS PASSES
//
// One line of JSON for each pass: {"files","bytes","errors","walk_ms","read_ms"}. The names are listed by one
// thread, which asks for each file's attributes as `ls -lR` does; then all threads open and read.
#define _GNU_SOURCE
#include <fcntl.h>
#include <fts.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MOST_THREADS = 64, BUFFER = 128 << 10 };

static char **paths;
static long path_count, path_room;
static atomic_long next_path, bytes_read, errors;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void *allocated(void *memory) {
    if (!memory) {
        perror("readall");
        exit(1);
    }
    return memory;
}

// One thread: takes path after path until none is left.
static void *read_paths(void *unused) {
    (void)unused;
    char *buffer = allocated(malloc(BUFFER));
    for (long i; (i = next_path++) < path_count;) {
        int file = open(paths[i], O_RDONLY | O_CLOEXEC);
        if (file < 0) {
            errors++;
            continue;
        }
        ssize_t got;
        while ((got = read(file, buffer, BUFFER)) > 0) bytes_read += got;
        if (got < 0) errors++;
        close(file);
    }
    free(buffer);
    return NULL;
}

static void list(char *directory) {
    FTS *tree = fts_open((char *[]){directory, NULL}, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    if (!tree) {
        perror(directory);
        exit(1);
    }
    for (FTSENT *entry; (entry = fts_read(tree));) {
        if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_NS) errors++;
        if (entry->fts_info != FTS_F) continue;
        if (path_count == path_room) {
            path_room = path_room ? path_room * 2 : 4096;
            paths = allocated(realloc(paths, sizeof *paths * (size_t)path_room));
        }
        paths[path_count++] = allocated(strdup(entry->fts_path));
    }
    fts_close(tree);
}

static void pass(char *directory, int thread_count) {
    next_path = bytes_read = errors = 0;
    double start = now();
    list(directory);
    double listed = now();
    pthread_t threads[MOST_THREADS];
    for (int i = 0; i < thread_count; i++)
        if (pthread_create(&threads[i], NULL, read_paths, NULL) != 0) exit(1);
    for (int i = 0; i < thread_count; i++) pthread_join(threads[i], NULL);
    printf("{\"files\": %ld, \"bytes\": %ld, \"errors\": %ld, \"walk_ms\": %.2f, \"read_ms\": %.2f}\n", path_count,
           (long)bytes_read, (long)errors, listed - start, now() - listed);
    while (path_count > 0) free(paths[--path_count]);
}

int main(int count, char **arguments) {
    int threads = count == 4 ? atoi(arguments[2]) : 0;
    if (threads < 1 || threads > MOST_THREADS) {
        fprintf(stderr, "usage: readall DIRECTORY THREADS PASSES\n");
        return 2;
    }
    for (int i = atoi(arguments[3]); i > 0; i--) pass(arguments[1], threads);
    return 0;
}

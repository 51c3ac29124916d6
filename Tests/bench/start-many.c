// start-many COUNT PROGRAM: starts PROGRAM so often, one after the other (fork, execve, wait); prints microseconds each.
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int main(int count, char **arguments) {
    if (count != 3) return 2;
    long starts = atol(arguments[1]);
    char *const words[] = {arguments[2], 0}, *const none[] = {0};
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (long i = 0; i < starts; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            execve(arguments[2], words, none);
            _exit(127);
        }
        int status;
        if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) return 1;
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    double took = (double)(end.tv_sec - begin.tv_sec) * 1e6 + (double)(end.tv_nsec - begin.tv_nsec) / 1e3;
    printf("%.2f\n", took / (double)starts);
    return 0;
}

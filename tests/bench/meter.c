// SPDX-License-Identifier: MIT
// Runs a program and says what it cost: `meter FILE PROGRAM ARGUMENT...` writes `user system wall resident` (seconds,
// seconds, seconds, KiB) into FILE and ends with the program's exit status. It is small itself, because a process begins
// its life with the resident size of the one that started it.
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: meter FILE PROGRAM ARGUMENT...\n");
        return 126;
    }
    double start = now();
    pid_t child = fork();
    if (child == 0) {
        execvp(argv[2], argv + 2);
        perror(argv[2]);
        _exit(127);
    }
    struct rusage usage;
    int status;
    if (child < 0 || wait4(child, &status, 0, &usage) < 0) {
        perror("meter");
        return 126;
    }
    double wall = now() - start;
    FILE *out = fopen(argv[1], "w");
    if (!out || fprintf(out, "%.6f %.6f %.6f %ld\n", seconds(usage.ru_utime), seconds(usage.ru_stime),
                        wall, usage.ru_maxrss) < 0 || fclose(out)) {
        perror(argv[1]);
        return 126;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

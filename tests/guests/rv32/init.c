// SPDX-License-Identifier: MIT
/*
 * The only program of our 32-bit Linux guest. Checks what needs a kernel and its 32-bit page tables, says
 * `FERRY RV32: STAGE: ok` or `...: failed` for each stage and `FERRY RV32: passed` or `failed` at the end, and powers
 * off. Built with the kernel's own nolibc, without any library; harts=N comes from the kernel's command line.
 */
#include "nolibc.h"

#define PAGE 4096u
#define AREA (16u << 20)
#define STREAM 100000u

struct timespec64 {
    long long tv_sec;
    long long tv_nsec;
};

static unsigned mix(unsigned x)
{
    x ^= x << 13;
    x ^= x >> 17;
    return x ^ (x << 5);
}

static int read_all(int fd, void *buf, unsigned size)
{
    unsigned done = 0;
    while (done < size) {
        int n = read(fd, (char *)buf + done, size - done);
        if (n <= 0)
            return 0;
        done += n;
    }
    return 1;
}

/* Starts a process that writes what work(arg) returns into the pipe whose other end is returned. */
static int start(unsigned (*work)(unsigned arg), unsigned arg)
{
    int fds[2];
    if (my_syscall2(__NR_pipe2, fds, 0) < 0)
        return -1;
    if (fork() == 0) {
        unsigned result = work(arg);
        write(fds[1], &result, sizeof(result));
        exit(0);
    }
    close(fds[1]);
    return fds[0];
}

static int finish(int fd, unsigned *result)
{
    int ok = read_all(fd, result, sizeof(*result));
    close(fd);
    return ok;
}

static unsigned *area; /* shared with the child until one of them writes */

static unsigned scribble(unsigned seed)
{
    unsigned bad = 0;
    for (unsigned i = 0; i < AREA / PAGE; i++) {
        unsigned *word = &area[i * (PAGE / 4) + i % (PAGE / 4)];
        bad += *word != mix(i + 1);
        *word = seed;
    }
    return bad;
}

/* Demand paging, and pages that are copied on a write of either side. */
static int check_memory(void)
{
    unsigned result;
    area = mmap(NULL, AREA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED)
        return 0;
    for (unsigned i = 0; i < AREA / PAGE; i++)
        area[i * (PAGE / 4) + i % (PAGE / 4)] = mix(i + 1);
    int child = start(scribble, 7);
    return finish(child, &result) && result == 0 && scribble(9) == 0;
}

static unsigned stream(unsigned fd)
{
    for (unsigned i = 0, x = 1; i < STREAM; i++) {
        x = mix(x);
        if (write(fd, &x, sizeof(x)) != sizeof(x))
            return 1;
    }
    return 0;
}

/* A stream through a pipe, in which writer and reader take turns. */
static int check_pipe(void)
{
    int fds[2];
    unsigned result;
    if (my_syscall2(__NR_pipe2, fds, 0) < 0)
        return 0;
    int child = start(stream, fds[1]);
    unsigned want = 1, have;
    for (unsigned i = 0; i < STREAM; i++) {
        want = mix(want);
        if (!read_all(fds[0], &have, sizeof(have)) || have != want)
            return 0;
    }
    return finish(child, &result) && result == 0;
}

/* Bits of a series; yields often, so that another process's numbers would show up if registers leaked. */
static unsigned series(unsigned seed)
{
    union {
        double d;
        unsigned u[2];
    } sum = {.d = seed};
    for (unsigned i = 1; i <= 20000; i++) {
        sum.d += 1.0 / i / seed;
        if (i % 100 == 0)
            sched_yield();
    }
    return sum.u[0] ^ sum.u[1];
}

static int check_float(void)
{
    unsigned first, second;
    int a = start(series, 3), b = start(series, 5);
    if (!finish(a, &first) || !finish(b, &second))
        return 0;
    return first == series(3) && second == series(5) && first == 0x419da35a && second == 0x40f56080;
}

static unsigned where(unsigned hart)
{
    unsigned long mask = 1ul << hart;
    unsigned cpu = -1, x = 1;
    if (my_syscall3(__NR_sched_setaffinity, 0, sizeof(mask), &mask) < 0)
        return -1;
    for (unsigned i = 0; i < 100000; i++)
        x = mix(x);
    my_syscall3(__NR_getcpu, &cpu, NULL, NULL);
    return x == 0 ? -1u : cpu;
}

static int check_harts(unsigned harts)
{
    int child[8];
    int ok = harts >= 1 && harts <= 8;
    for (unsigned i = 0; ok && i < harts; i++)
        child[i] = start(where, i);
    for (unsigned i = 0; ok && i < harts; i++) {
        unsigned cpu;
        ok = finish(child[i], &cpu) && cpu == i;
    }
    return ok && where(harts) == -1u; /* and there is no further one */
}

static long long now(void)
{
    struct timespec64 t = {0, 0};
    my_syscall2(__NR_clock_gettime64, 1 /* CLOCK_MONOTONIC */, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static int check_clock(void)
{
    struct timespec64 pause = {0, 50000000};
    long long start_ns = now();
    my_syscall4(__NR_clock_nanosleep_time64, 1, 0, &pause, NULL);
    long long passed = now() - start_ns;
    return passed >= 50000000 && passed < 2000000000;
}

static int stage(const char *name, int ok)
{
    printf("FERRY RV32: %s: %s\n", name, ok ? "ok" : "failed");
    return ok;
}

int main(int argc, char **argv, char **envp)
{
    unsigned harts = 1;
    (void)argc;
    (void)argv;
    for (; *envp; envp++) {
        if (!strncmp(*envp, "harts=", 6))
            harts = (*envp)[6] - '0';
    }
    int ok = stage("memory", check_memory());
    ok &= stage("pipe", check_pipe());
    ok &= stage("float", check_float());
    ok &= stage("harts", check_harts(harts));
    ok &= stage("clock", check_clock());
    printf("FERRY RV32: %s\n", ok ? "passed" : "failed");
    my_syscall4(__NR_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_POWER_OFF, 0);
    return 1;
}

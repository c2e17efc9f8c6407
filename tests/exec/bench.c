/* bench opens FILE COUNT: the median of as many openings of a file, in microseconds. bench first NODE: the time at which a program
 * has opened its first node, in nanoseconds of the system's monotonic clock, so that it can be told from when keyrig was started. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1e9 + time.tv_nsec;
}

static int ascending(const void *a, const void *b) {
    double difference = *(const double *)a - *(const double *)b;
    return (difference > 0) - (difference < 0);
}

static void open_and_close(const char *file) {
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        perror(file);
        exit(1);
    }
    close(fd);
}

int main(int argc, char **argv) {
    if (argc == 3 && !strcmp(argv[1], "first")) {
        open_and_close(argv[2]);
        printf("%.0f\n", now());
        return 0;
    }
    int count = argc == 4 && !strcmp(argv[1], "opens") ? atoi(argv[3]) : 0;
    double *times = calloc(count, sizeof *times);
    if (!times || count < 1)
        return 2;
    for (int i = 0; i < count; i++) {
        double began = now();
        open_and_close(argv[2]);
        times[i] = now() - began;
    }
    qsort(times, count, sizeof *times, ascending);
    printf("%.1f\n", times[count / 2] / 1000);
    return 0;
}

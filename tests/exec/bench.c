/* Times calls, and prints the median in microseconds: bench opens FILE COUNT; bench ping NODE COUNT, one packet each. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1e6 + time.tv_nsec / 1e3;
}

static int ascending(const void *a, const void *b) {
    double difference = *(const double *)a - *(const double *)b;
    return (difference > 0) - (difference < 0);
}

static void exchange(int fd, const unsigned char *request, unsigned char *answer) {
    if (write(fd, request, 65) != 65 || read(fd, answer, 64) != 64) {
        perror("exchange");
        exit(1);
    }
}

int main(int argc, char **argv) {
    if (argc != 4)
        return 2;
    int count = atoi(argv[3]), pings = !strcmp(argv[1], "ping"), fd = -1;
    unsigned char request[65] = {0, 0xff, 0xff, 0xff, 0xff, 0x86, 0, 8}, answer[64];
    double *times = calloc(count, sizeof *times);
    if (!times || count < 1)
        return 2;
    if (pings) {
        if ((fd = open(argv[2], O_RDWR)) < 0) {
            perror(argv[2]);
            return 1;
        }
        exchange(fd, request, answer);
        memcpy(request + 1, answer + 15, 4);
        request[5] = 0x81;
    }
    for (int i = 0; i < count; i++) {
        double began = now();
        if (pings) {
            exchange(fd, request, answer);
        } else {
            int opened = open(argv[2], O_RDONLY | O_CLOEXEC);
            if (opened < 0) {
                perror(argv[2]);
                return 1;
            }
            close(opened);
        }
        times[i] = now() - began;
    }
    qsort(times, count, sizeof *times, ascending);
    printf("%.1f\n", times[count / 2]);
    return 0;
}

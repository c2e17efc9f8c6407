/* Does with a key's node what programs are not expected to, and says nothing if it works all the same: misuse WHAT.
 *
 * What is expected: open(2), fork(2), inotify(7), openat2(2), io_uring_setup(2); CTAPHID_PING (CTAP 2.3 11.2.9.1.2). */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/openat2.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *node = "/dev/hidraw0";

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void get(int fd, unsigned char *report) {
    struct pollfd polled = {fd, POLLIN, 0};
    if (poll(&polled, 1, 10000) != 1 || read(fd, report, 64) != 64)
        fail("read");
}

static int open_node(void) {
    int fd = open(node, O_RDWR);
    if (fd < 0)
        fail(node);
    return fd;
}

/* A channel of its own. */
static void channel(int fd, unsigned char *id) {
    unsigned char report[65] = {0, 0xff, 0xff, 0xff, 0xff, 0x86, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8};
    if (write(fd, report, 65) != 65)
        fail("write");
    get(fd, report);
    if (report[4] != 0x86)
        fail("CTAPHID_INIT");
    memcpy(id, report + 15, 4);
}

/* A message of 100 bytes, the second packet of which another process writes. */
static void forked(int fd) {
    unsigned char id[4], first[65] = {0}, second[65] = {0}, answer[64];
    int status;
    channel(fd, id);
    memcpy(first + 1, id, 4);
    memcpy(second + 1, id, 4);
    first[5] = 0x81;
    first[7] = 100;
    memset(first + 8, 7, 57);
    memset(second + 6, 9, 43);
    if (write(fd, first, 65) != 65)
        fail("write");
    pid_t child = fork();
    if (!child)
        _exit(write(fd, second, 65) != 65);
    if (waitpid(child, &status, 0) != child || status)
        fail("the child's write");
    get(fd, answer);
    if (memcmp(answer, first + 1, 64))
        fail("the first packet of the answer");
    get(fd, answer);
    if (memcmp(answer, second + 1, 48))
        fail("the second packet of the answer");
}

/* A node that comes is told of by inotify. */
static void watched(void) {
    char buffer[4096];
    struct pollfd polled = {inotify_init1(IN_CLOEXEC), POLLIN, 0};
    if (polled.fd < 0 || inotify_add_watch(polled.fd, "/dev", IN_CREATE) < 0)
        fail("inotify");
    printf("ready\n");
    fflush(stdout);
    for (;;) {
        if (poll(&polled, 1, 10000) != 1)
            fail("poll");
        ssize_t length = read(polled.fd, buffer, sizeof buffer);
        for (char *at = buffer; at < buffer + length;) {
            struct inotify_event *event = (struct inotify_event *)at;
            if (!strcmp(event->name, "hidraw0"))
                return;
            at += sizeof *event + event->len;
        }
    }
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    unsigned char id[4];
    if (!strcmp(what, "thousand")) {
        for (int i = 0; i < 1000; i++)
            close(open_node());
        channel(open_node(), id);
    } else if (!strcmp(what, "closed")) {
        syscall(SYS_close_range, 0, ~0U, 0);
        channel(open_node(), id);
    } else if (!strcmp(what, "forked")) {
        forked(open_node());
    } else if (!strcmp(what, "watched")) {
        watched();
    } else if (!strcmp(what, "openat2")) {
        struct open_how how = {.flags = O_RDWR | O_CLOEXEC, .resolve = RESOLVE_NO_MAGICLINKS};
        int fd = syscall(SYS_openat2, AT_FDCWD, node, &how, sizeof how);
        if (fd < 0)
            fail("openat2");
        channel(fd, id);
    } else if (!strcmp(what, "io_uring")) {
        struct io_uring_params parameters = {0};
        syscall(SYS_io_uring_setup, 8, &parameters);
    } else {
        return 2;
    }
    return 0;
}

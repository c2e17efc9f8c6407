/* Everything that a client may do with a hidraw node, without a library: what does not answer as Linux does is said, and the
 * exit status is 1. `hidraw NODE` for the calls; `hidraw NODE unplug[-without-copies]` says "ready", and then what it sees of the key's end.
 *
 * What is expected: linux/hidraw.h, Documentation/hid/hidraw.rst, drivers/hid/hidraw.c; the report descriptor of a FIDO device
 * (CTAP 2.1 11.2.8.2); CTAPHID_INIT (CTAP 2.1 11.2.9.1.3). */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/hidraw.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static int wrong;

#define EXPECT(condition)                                                                                        \
    do {                                                                                                         \
        errno = 0;                                                                                               \
        if (!(condition)) {                                                                                      \
            printf("line %d: not so: %s (%s)\n", __LINE__, #condition, strerror(errno));                         \
            wrong = 1;                                                                                           \
        }                                                                                                        \
    } while (0)

static const unsigned char descriptor[34] = {0x06, 0xd0, 0xf1, 0x09, 0x01, 0xa1, 0x01, 0x09, 0x20, 0x15, 0x00, 0x26,
                                             0xff, 0x00, 0x75, 0x08, 0x95, 0x40, 0x81, 0x02, 0x09, 0x21, 0x15, 0x00,
                                             0x26, 0xff, 0x00, 0x75, 0x08, 0x95, 0x40, 0x91, 0x02, 0xc0};

/* CTAPHID_INIT on the broadcast channel, with its report's number in front. */
static void request(unsigned char *report, unsigned char nonce) {
    static const unsigned char start[] = {0, 0xff, 0xff, 0xff, 0xff, 0x86, 0, 8};
    memset(report, 0, 65);
    memcpy(report, start, sizeof start);
    memset(report + 8, nonce, 8);
}

static int is_answer(const unsigned char *report, unsigned char nonce) {
    unsigned char expected[15] = {0xff, 0xff, 0xff, 0xff, 0x86, 0, 17};
    memset(expected + 7, nonce, 8);
    return !memcmp(report, expected, sizeof expected);
}

static int readable(int fd) {
    struct pollfd polled = {fd, POLLIN, 0};
    return poll(&polled, 1, 10000) == 1 && polled.revents & POLLIN;
}

/* Asks and reads the answer. */
static int asks(int fd, unsigned char nonce) {
    unsigned char report[65], answer[64];
    request(report, nonce);
    return write(fd, report, 65) == 65 && readable(fd) && read(fd, answer, 64) == 64 && is_answer(answer, nonce);
}

static void *asks_in_a_thread(void *fd) {
    return asks(*(int *)fd, 0x77) ? fd : NULL;
}

static void requests(int fd) {
    struct hidraw_report_descriptor report_descriptor = {0};
    struct hidraw_devinfo information;
    char text[256];
    int size = 0;
    EXPECT(ioctl(fd, HIDIOCGRDESCSIZE, &size) == 0 && size == sizeof descriptor);
    report_descriptor.size = size;
    EXPECT(ioctl(fd, HIDIOCGRDESC, &report_descriptor) == 0 && !memcmp(report_descriptor.value, descriptor, sizeof descriptor));
    report_descriptor.size = HID_MAX_DESCRIPTOR_SIZE;
    EXPECT(ioctl(fd, HIDIOCGRDESC, &report_descriptor) == -1 && errno == EINVAL);
    EXPECT(ioctl(fd, HIDIOCGRAWINFO, &information) == 0 && information.bustype == 3 && information.vendor == 0x1209);
    EXPECT(ioctl(fd, HIDIOCGRAWNAME(sizeof text), text) == (int)strlen(text) + 1);
    EXPECT(ioctl(fd, HIDIOCGRAWNAME(4), text) == 4);
    EXPECT(ioctl(fd, HIDIOCGRAWPHYS(sizeof text), text) == (int)strlen(text) + 1);
    memset(text, 0, sizeof text);
    EXPECT(ioctl(fd, HIDIOCGFEATURE(64), text) == -1);
    EXPECT(ioctl(fd, _IO('H', 0x7f)) == -1 && errno == ENOTTY);
    EXPECT(ioctl(fd, HIDIOCGRDESCSIZE, (void *)1) == -1 && errno == EFAULT);
}

static void transfers(int fd) {
    unsigned char report[65], answer[256];
    struct iovec out[2] = {{report, 1}, {report + 1, 64}}, in[2] = {{answer, 10}, {answer + 10, 54}};
    struct epoll_event event = {EPOLLIN | EPOLLET, {0}};
    struct timeval limit = {10, 0};
    fd_set set;
    int epoll = epoll_create1(EPOLL_CLOEXEC), flags = fcntl(fd, F_GETFL);
    EXPECT(asks(fd, 1));
    request(report, 2);
    EXPECT(writev(fd, out, 2) == 65 && readable(fd) && readv(fd, in, 2) == 64 && is_answer(answer, 2));
    request(report, 3);
    EXPECT(write(fd, report, 65) == 65 && readable(fd) && read(fd, answer, sizeof answer) == 64);
    /* The rest of a report that is read in part is lost. */
    EXPECT(write(fd, report, 65) == 65 && write(fd, report, 65) == 65);
    EXPECT(read(fd, answer, 10) == 10 && read(fd, answer, 64) == 64 && is_answer(answer, 3));
    EXPECT(fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0);
    EXPECT(read(fd, answer, 64) == -1 && errno == EAGAIN);
    EXPECT(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0);
    EXPECT(write(fd, report, 65) == 65 && epoll_wait(epoll, &event, 1, 10000) == 1 && read(fd, answer, 64) == 64);
    EXPECT(epoll_wait(epoll, &event, 1, 0) == 0);
    FD_ZERO(&set);
    FD_SET(fd, &set);
    EXPECT(write(fd, report, 65) == 65 && select(fd + 1, &set, NULL, NULL, &limit) == 1 && read(fd, answer, 64) == 64);
    EXPECT(fcntl(fd, F_SETFL, flags) == 0);
    close(epoll);
}

static void descriptors(const char *node, int fd, int without_copies) {
    unsigned char report[65], answer[64];
    struct stat status;
    pthread_t thread;
    void *answered = NULL;
    int copy, other, child, size;
    EXPECT(fstat(fd, &status) == 0 && S_ISCHR(status.st_mode) && major(status.st_rdev) != 0);
    copy = dup(fd);
    EXPECT(copy >= 0 && asks(copy, 4));
    EXPECT(without_copies || (fstat(copy, &status) == 0 && S_ISCHR(status.st_mode)));
    close(copy);
    copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    EXPECT(copy >= 0 && fcntl(copy, F_GETFD) == FD_CLOEXEC && asks(copy, 5));
    close(copy);
    EXPECT(dup2(fd, 9) == 9 && ioctl(9, HIDIOCGRDESCSIZE, &size) == 0 && asks(9, 6));
    close(9);
    /* Every report is for all that have the node open. */
    other = open(node, O_RDWR | O_CLOEXEC);
    EXPECT(other >= 0 && fcntl(other, F_GETFD) == FD_CLOEXEC);
    request(report, 7);
    EXPECT(write(fd, report, 65) == 65);
    EXPECT(readable(other) && read(other, answer, 64) == 64 && is_answer(answer, 7));
    EXPECT(readable(fd) && read(fd, answer, 64) == 64 && is_answer(answer, 7));
    close(other);
    child = fork();
    if (!child)
        _exit(asks(fd, 8) ? 0 : 1);
    EXPECT(waitpid(child, &size, 0) == child && size == 0);
    /* In the middle of a report's way. */
    EXPECT(write(fd, report, 65) == 65);
    child = fork();
    if (!child)
        _exit(readable(fd) && read(fd, answer, 64) == 64 && is_answer(answer, 7) ? 0 : 1);
    EXPECT(waitpid(child, &size, 0) == child && size == 0);
    EXPECT(pthread_create(&thread, NULL, asks_in_a_thread, &fd) == 0 && pthread_join(thread, &answered) == 0 && answered);
}

static void openings(const char *node) {
    struct stat status;
    int fd = open(node, O_RDONLY | O_CLOEXEC), size, directory, round;
    EXPECT(fd >= 0 && ioctl(fd, HIDIOCGRDESCSIZE, &size) == 0);
    close(fd);
    EXPECT(stat(node, &status) == 0 && S_ISCHR(status.st_mode) && (status.st_mode & 0777) == 0666);
    EXPECT(access(node, R_OK | W_OK) == 0);
    EXPECT(open("/dev/hidraw63", O_RDWR) == -1 && errno == ENOENT);
    EXPECT(access("/dev/hidraw63", F_OK) == -1 && errno == ENOENT);
    directory = open("/dev", O_RDONLY | O_DIRECTORY);
    fd = openat(directory, node + strlen("/dev/"), O_RDWR | O_NONBLOCK);
    EXPECT(fd >= 0 && ioctl(fd, HIDIOCGRDESCSIZE, &size) == 0 && fcntl(fd, F_GETFL) & O_NONBLOCK);
    close(fd);
    close(directory);
    EXPECT(chdir("/dev") == 0);
    fd = open(node + strlen("/dev/"), O_RDWR);
    EXPECT(fd >= 0 && asks(fd, 9));
    close(fd);
    fd = open("/sys/../dev/./null", O_RDWR);
    EXPECT(fd >= 0 && ioctl(fd, HIDIOCGRDESCSIZE, &size) == -1 && errno == ENOTTY);
    close(fd);
    for (round = 0; round < 1000; round++) {
        fd = open(node, O_RDWR);
        if (fd < 0)
            break;
        close(fd);
    }
    EXPECT(round == 1000);
    fd = open(node, O_RDWR);
    EXPECT(fd >= 0 && asks(fd, 10));
    close(fd);
}

/* Where this differs from hidraw, whose read is -1 with EIO and whose poll says POLLERR, docs/src/how-to/exec.md says so. */
static void unplugged(const char *node, int fd, int without_copies) {
    unsigned char report[65];
    struct pollfd polled = {fd, POLLIN, 0};
    struct stat status;
    int size;
    setvbuf(stdout, NULL, _IONBF, 0);
    printf("ready\n");
    EXPECT(poll(&polled, 1, 30000) == 1 && polled.revents & POLLHUP);
    /* Where descriptors cannot be copied the read is answered; elsewhere the socket has the error, once. */
    EXPECT(without_copies || polled.revents & POLLERR);
    EXPECT(read(fd, report, 64) == -1 && errno == (without_copies ? EIO : ECONNRESET));
    request(report, 1);
    EXPECT(write(fd, report, 65) == -1 && errno == EPIPE);
    EXPECT(ioctl(fd, HIDIOCGRDESCSIZE, &size) == -1 && errno == ENODEV);
    EXPECT(open(node, O_RDWR) == -1 && errno == ENOENT);
    EXPECT(stat(node, &status) == -1 && errno == ENOENT);
    EXPECT(stat("/sys/class/hidraw/hidraw0", &status) == -1 && errno == ENOENT);
    printf("gone\n");
}

int main(int argc, char **argv) {
    const char *node = argc > 1 ? argv[1] : "/dev/hidraw0", *what = argc > 2 ? argv[2] : "";
    int fd = open(node, O_RDWR);
    EXPECT(fd >= 0);
    if (fd < 0)
        return 1;
    if (!strncmp(what, "unplug", 6)) {
        unplugged(node, fd, !strcmp(what, "unplug-without-copies"));
    } else {
        requests(fd);
        transfers(fd);
        descriptors(node, fd, !strcmp(what, "without-copies"));
        openings(node);
    }
    return wrong;
}

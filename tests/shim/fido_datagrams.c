// Preloaded into programs that use libfido2, it gives them a key at a datagram endpoint of keyrig in the place of those at
// /dev/hidraw*: KEYRIG_CTAPHID is unix:PATH or udp:ADDRESS:PORT. The device's path, which programs ask for, is "key".
//
// libfido2 lets a program replace its input and output (fido_dev_set_io_functions(3)); this does so for programs that do not.
// It is not linked with libfido2: in programs without it nothing happens.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fido.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { REPORT_SIZE = 64 };

static int connect_unix(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static int connect_udp(const char *text) {
    char host[64];
    const char *colon = strrchr(text, ':');
    if (colon == NULL || (size_t)(colon - text) >= sizeof(host)) {
        errno = EINVAL;
        return -1;
    }
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = '\0';
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(colon + 1))};
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1) {
        errno = EINVAL;
        return -1;
    }
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static void *endpoint_open(const char *path) {
    const char *endpoint = getenv("KEYRIG_CTAPHID");
    int fd = -1;
    (void)path;
    if (endpoint == NULL)
        fprintf(stderr, "KEYRIG_CTAPHID is not set\n");
    else if (strncmp(endpoint, "unix:", 5) == 0)
        fd = connect_unix(endpoint + 5);
    else if (strncmp(endpoint, "udp:", 4) == 0)
        fd = connect_udp(endpoint + 4);
    else
        fprintf(stderr, "KEYRIG_CTAPHID is %s, neither unix:PATH nor udp:ADDRESS:PORT\n", endpoint);
    if (fd < 0)
        return NULL;
    int *handle = malloc(sizeof(*handle));
    if (handle == NULL)
        close(fd);
    else
        *handle = fd;
    return handle;
}

static void endpoint_close(void *handle) {
    close(*(int *)handle);
    free(handle);
}

static int endpoint_read(void *handle, unsigned char *report, size_t size, int milliseconds) {
    struct pollfd ready = {.fd = *(int *)handle, .events = POLLIN};
    if (size != REPORT_SIZE || poll(&ready, 1, milliseconds) != 1)
        return -1;
    return recv(ready.fd, report, size, 0) == REPORT_SIZE ? REPORT_SIZE : -1;
}

// libfido2 puts a report id, zero, before the report, as hidraw wants it, and counts it.
static int endpoint_write(void *handle, const unsigned char *report, size_t size) {
    if (size != REPORT_SIZE + 1 || send(*(int *)handle, report + 1, REPORT_SIZE, MSG_NOSIGNAL) != REPORT_SIZE)
        return -1;
    return REPORT_SIZE + 1;
}

static const fido_dev_io_t endpoint_io = {endpoint_open, endpoint_close, endpoint_read, endpoint_write};

fido_dev_t *fido_dev_new(void) {
    fido_dev_t *(*original)(void) = (fido_dev_t * (*)(void)) dlsym(RTLD_NEXT, "fido_dev_new");
    fido_dev_t *device = original == NULL ? NULL : original();
    if (device != NULL && fido_dev_set_io_functions(device, &endpoint_io) != FIDO_OK)
        fido_dev_free(&device);
    return device;
}

int fido_dev_info_manifest(fido_dev_info_t *devices, size_t room, size_t *found) {
    *found = 0;
    if (room == 0)
        return FIDO_OK;
    int result = fido_dev_info_set(devices, 0, "key", "keyrig", "keyrig", &endpoint_io, NULL);
    if (result == FIDO_OK)
        *found = 1;
    return result;
}

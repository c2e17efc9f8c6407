/* Listens to udev by libudev as browsers do, and prints what happens to hidraw devices, as many times as asked. Before the first
 * it prints which there are. */
#include <libudev.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

static void print(const char *what, struct udev_device *device) {
    struct udev_device *usb = udev_device_get_parent_with_subsystem_devtype(device, "usb", "usb_device");
    const char *product = usb ? udev_device_get_sysattr_value(usb, "product") : NULL;
    const char *token = udev_device_get_property_value(device, "ID_FIDO_TOKEN");
    printf("%s %s token=%s %s\n", what, udev_device_get_devnode(device), token ? token : "?", product ? product : "");
}

int main(int argc, char **argv) {
    struct udev *udev = udev_new();
    struct udev_monitor *monitor = udev_monitor_new_from_netlink(udev, "udev");
    struct udev_enumerate *present = udev_enumerate_new(udev);
    struct udev_list_entry *entry;
    int left = argc > 1 ? atoi(argv[1]) : 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (udev_monitor_filter_add_match_subsystem_devtype(monitor, "hidraw", NULL) < 0 ||
        udev_monitor_filter_add_match_tag(monitor, "uaccess") < 0 || udev_monitor_enable_receiving(monitor) < 0)
        return 1;
    udev_enumerate_add_match_subsystem(present, "hidraw");
    udev_enumerate_scan_devices(present);
    udev_list_entry_foreach(entry, udev_enumerate_get_list_entry(present)) {
        struct udev_device *device = udev_device_new_from_syspath(udev, udev_list_entry_get_name(entry));
        if (device)
            print("there", device);
    }
    printf("ready\n");
    while (left) {
        struct pollfd polled = {udev_monitor_get_fd(monitor), POLLIN, 0};
        struct udev_device *device;
        if (poll(&polled, 1, 30000) != 1)
            return 1;
        device = udev_monitor_receive_device(monitor);
        if (!device)
            continue;
        print(udev_device_get_action(device), device);
        left--;
    }
    return 0;
}

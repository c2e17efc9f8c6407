// Finds FIDO devices as a program does that links no C library: by sysfs and the node, with calls of Go's own. Prints each
// node with its name and the size of its report descriptor, and what CTAPHID_INIT answers.
package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unsafe"
)

const hidiocgrdescsize = 0x80044801

func main() {
	nodes, err := filepath.Glob("/sys/class/hidraw/hidraw*")
	if err != nil {
		panic(err)
	}
	for _, node := range nodes {
		uevent, err := os.ReadFile(node + "/device/uevent")
		if err != nil {
			panic(err)
		}
		name := ""
		for _, line := range strings.Split(string(uevent), "\n") {
			if strings.HasPrefix(line, "HID_NAME=") {
				name = strings.TrimPrefix(line, "HID_NAME=")
			}
		}
		file, err := os.OpenFile("/dev/"+filepath.Base(node), os.O_RDWR, 0)
		if err != nil {
			panic(err)
		}
		var size int32
		if _, _, failed := syscall.Syscall(syscall.SYS_IOCTL, file.Fd(), hidiocgrdescsize, uintptr(unsafe.Pointer(&size))); failed != 0 {
			panic(failed)
		}
		nonce := []byte{8, 7, 6, 5, 4, 3, 2, 1}
		request := append([]byte{0, 0xff, 0xff, 0xff, 0xff, 0x86, 0, 8}, nonce...)
		if _, err := file.Write(append(request, make([]byte, 65-len(request))...)); err != nil {
			panic(err)
		}
		answer := make([]byte, 64)
		if _, err := file.Read(answer); err != nil {
			panic(err)
		}
		fmt.Println(filepath.Base(node), name, size, bytes.Equal(answer[7:15], nonce))
		file.Close()
	}
}

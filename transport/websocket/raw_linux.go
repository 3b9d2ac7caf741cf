//go:build linux && !386

package websocket

import (
	"syscall"
	"unsafe"
)

// shortCall is the largest write that is made without telling the scheduler: it is over
// so soon that telling costs more than it brings. Until it is over no other goroutine
// gets this processor, and no garbage collection begins: so it must never wait.
const shortCall = 16 << 10

// readSocket and writeSocket are the system calls. p is not empty.
func readSocket(fd uintptr, p []byte) (int, error) {
	return done(syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), atOnce, 0, 0))
}

func writeSocket(fd uintptr, p []byte) (int, error) {
	if len(p) > shortCall {
		return done(syscall.Syscall6(syscall.SYS_SENDTO, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), atOnce, 0, 0))
	}
	return done(syscall.RawSyscall6(syscall.SYS_SENDTO, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), atOnce, 0, 0))
}

func done(n, _ uintptr, errno syscall.Errno) (int, error) {
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

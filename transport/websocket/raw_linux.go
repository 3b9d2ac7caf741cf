package websocket

import (
	"syscall"
	"unsafe"
)

// shortCall is up to what size a call is over before the scheduler could make
// use of knowing of it: to tell it costs more than it brings.
const shortCall = 16 << 10

// readSocket and writeSocket are the system calls. p is not empty.
func readSocket(fd uintptr, p []byte) (int, error) {
	return call(syscall.SYS_READ, fd, p)
}

func writeSocket(fd uintptr, p []byte) (int, error) {
	if len(p) > shortCall {
		return syscall.Write(int(fd), p)
	}
	return call(syscall.SYS_WRITE, fd, p)
}

func call(trap, fd uintptr, p []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(trap, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

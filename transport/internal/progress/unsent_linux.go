package progress

import (
	"net"
	"syscall"
	"unsafe"
)

// Unsent is how many bytes the system still holds that were written to nc and
// not yet taken by the peer's system, or 0 if it cannot say. It changes only when
// something was written or taken.
func Unsent(nc net.Conn) int {
	raw := Socket(nc)
	if raw == nil {
		return 0
	}
	var n int32
	err := raw.Control(func(fd uintptr) {
		_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCOUTQ, uintptr(unsafe.Pointer(&n)))
		if errno != 0 {
			n = 0
		}
	})
	if err != nil {
		return 0
	}
	return int(n)
}

package sse

import (
	"syscall"
	"time"
)

// userTimeout is TCP_USER_TIMEOUT of tcp(7).
const userTimeout = 0x12

// setUserTimeout does nothing to what is no TCP socket.
func setUserTimeout(fd uintptr, d time.Duration) {
	_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, userTimeout, int(d.Milliseconds()))
}

//go:build unix

package websocket

import (
	"net"
	"syscall"

	"github.com/carillon-rt/carillon/transport/internal/progress"
)

// unblock takes back what os.File.Fd does to a connection's socket when a program
// uses it to set an option: a write to a blocking socket knows no deadline.
func unblock(nc net.Conn) {
	if raw := progress.Socket(nc); raw != nil {
		_ = raw.Control(func(fd uintptr) { _ = syscall.SetNonblock(int(fd), true) })
	}
}

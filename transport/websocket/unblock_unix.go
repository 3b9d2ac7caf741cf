//go:build unix

package websocket

import (
	"net"
	"syscall"
)

// unblock takes back what os.File.Fd does to a connection's socket when a program
// uses it to set an option: a write to a blocking socket knows no deadline.
func unblock(nc net.Conn) {
	if raw := descriptor(nc); raw != nil {
		_ = raw.Control(func(fd uintptr) { _ = syscall.SetNonblock(int(fd), true) })
	}
}

// descriptor returns the socket below nc and below its TLS, or nil.
func descriptor(nc net.Conn) syscall.RawConn {
	socket, ok := plain(nc).(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

//go:build linux || dragonfly || freebsd || netbsd || openbsd

package websocket

import (
	"io"
	"net"
	"syscall"
)

// errWouldBlock says that a socket has nothing to read, or no room.
const errWouldBlock = syscall.EAGAIN

// atOnce makes a call return instead of waiting, also on a socket that somebody
// has made blocking, as os.File.Fd does with the file of a connection.
const atOnce = syscall.MSG_DONTWAIT | syscall.MSG_NOSIGNAL

// rawConn returns nc's socket, if all that is written to nc goes there as it is.
// Only the types of package net are known to do that.
func rawConn(nc net.Conn) syscall.RawConn {
	var socket syscall.Conn
	switch nc := nc.(type) {
	case *net.TCPConn:
		socket = nc
	case *net.UnixConn:
		socket = nc
	default:
		return nil
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// readFD reads from a socket without waiting.
func readFD(fd uintptr, p []byte) (int, error) {
	for {
		n, err := readSocket(fd, p)
		switch {
		case err == syscall.EINTR:
			continue
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		}
		return n, nil
	}
}

// writeFD writes to a socket what it takes without waiting. p is not empty.
func writeFD(fd uintptr, p []byte) (int, error) {
	for {
		n, err := writeSocket(fd, p)
		if err == syscall.EINTR {
			continue
		}
		return max(n, 0), err
	}
}

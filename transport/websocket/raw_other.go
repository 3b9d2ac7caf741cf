//go:build !(linux || dragonfly || freebsd || netbsd || openbsd)

package websocket

import (
	"errors"
	"net"
	"syscall"
)

var errWouldBlock = errors.New("socket would block")

// rawConn returns nil: here, every connection is written to by its own methods.
// That includes systems that wait for room in a blocking socket whatever a call
// says, as macOS does.
func rawConn(net.Conn) syscall.RawConn { return nil }

func readFD(uintptr, []byte) (int, error) { return 0, errors.ErrUnsupported }

func writeFD(uintptr, []byte) (int, error) { return 0, errors.ErrUnsupported }

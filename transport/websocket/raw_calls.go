//go:build dragonfly || freebsd || netbsd || openbsd || (linux && 386)

package websocket

import "syscall"

// readSocket and writeSocket are the system calls. p is not empty.
func readSocket(fd uintptr, p []byte) (int, error) {
	n, _, err := syscall.Recvfrom(int(fd), p, atOnce)
	return n, err
}

func writeSocket(fd uintptr, p []byte) (int, error) {
	return syscall.SendmsgN(int(fd), p, nil, nil, atOnce)
}

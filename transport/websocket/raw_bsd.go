//go:build unix && !linux

package websocket

import "syscall"

// readSocket and writeSocket are the system calls. p is not empty.
func readSocket(fd uintptr, p []byte) (int, error) { return syscall.Read(int(fd), p) }

func writeSocket(fd uintptr, p []byte) (int, error) { return syscall.Write(int(fd), p) }

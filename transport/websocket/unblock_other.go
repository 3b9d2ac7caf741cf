//go:build !unix

package websocket

import "net"

// unblock does nothing: no program makes a socket blocking here.
func unblock(net.Conn) {}

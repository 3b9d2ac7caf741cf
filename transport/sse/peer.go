package sse

import (
	"context"
	"crypto/tls"
	"net"
	"syscall"
	"time"
)

// A client of a feed says nothing, so that one that is gone without a word, as by a
// cut cable, can be told only from what it no longer takes in. That the system
// knows; what net/http lets a handler see ends at the system's buffers, which take
// heartbeats for hours.

type connKey struct{}

// ConnContext lets a Server notice such clients, within two heartbeats and the
// write time-out: set it as the ConnContext of the http.Server, or call it from
// there. Without it they are noticed when the system gives them up, which on Linux
// is after some 15 minutes. Elsewhere than on Linux it changes nothing.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// watchPeer has the system end the connection behind ctx when the peer has
// acknowledged nothing of what waits for it for so long.
func watchPeer(ctx context.Context, patience time.Duration) {
	nc, _ := ctx.Value(connKey{}).(net.Conn)
	if secured, ok := nc.(*tls.Conn); ok {
		nc = secured.NetConn()
	}
	if sc, ok := nc.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) { setUserTimeout(fd, patience) })
		}
	}
}

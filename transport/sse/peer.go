package sse

import (
	"context"
	"crypto/tls"
	"net"
	"syscall"
	"time"
)

// A client of a feed sends nothing. One that has vanished, as behind a cut cable, shows
// only in that it acknowledges no more data. The system knows that, but a handler of
// net/http does not: its writes end in the system's buffers, which have room for
// heartbeats of hours.

type connKey struct{}

// ConnContext lets a Server notice clients that have vanished without closing their
// connection, as behind a cut cable, within two heartbeats and the write time-out: set
// it as the ConnContext of the http.Server, or call it from there. Without it they are
// noticed when the system gives up, which on Linux is after some 15 minutes. On other
// systems it changes nothing.
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

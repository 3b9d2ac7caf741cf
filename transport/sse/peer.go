package sse

import (
	"context"
	"net"
	"time"

	"github.com/carillon-rt/carillon/transport/internal/progress"
)

// A client of a feed sends nothing. One that has vanished, as behind a cut cable, shows
// only in that it acknowledges no more data. The system knows that, but a handler of
// net/http does not: its writes end in the system's buffers, which have room for
// heartbeats of hours.

// ConnContext lets a Server notice clients that have vanished without closing their
// connection, as behind a cut cable, within two heartbeats and the write time-out: set
// it as the ConnContext of the http.Server, or call it from there. Without it they are
// noticed when the system gives up, which on Linux is after some 15 minutes. On other
// systems it changes nothing.
// Clients that read slowly, but steadily, are told by it from those that do not read.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	return progress.ConnContext(ctx, c)
}

// watchPeer has the system end the connection behind ctx when the peer has
// acknowledged nothing of what waits for it for so long.
func watchPeer(ctx context.Context, patience time.Duration) {
	if raw := progress.Socket(progress.Conn(ctx)); raw != nil {
		_ = raw.Control(func(fd uintptr) { setUserTimeout(fd, patience) })
	}
}

package progress

import (
	"context"
	"net"
	"net/http"
)

type connKey struct{}

// ConnContext is for the ConnContext of an http.Server: it lets Conn find c.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// Conn is the connection behind a request's context, or nil.
func Conn(ctx context.Context) net.Conn {
	c, _ := ctx.Value(connKey{}).(net.Conn)
	return c
}

// UnsentFor is what Begin asks for the client of r. It says nothing where ConnContext
// is not used, nor over HTTP/2, where other responses share the connection.
func UnsentFor(r *http.Request) func() int {
	c := Conn(r.Context())
	if c == nil || r.ProtoMajor != 1 {
		return func() int { return 0 }
	}
	return func() int { return Unsent(c) }
}

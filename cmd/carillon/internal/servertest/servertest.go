// Package servertest runs servers for the tests of the commands that talk to one: ours,
// and one that says whatever a test wants.
package servertest

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/cmd/carillon/internal/client"
	"github.com/carillon-rt/carillon/pusher"
)

// Credentials of every server here.
const (
	ID, Key, Secret = "1", "app-key", "app-secret"
	// MasterKey is in base64.
	MasterKey = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
)

// Ours starts a Carillon that keeps 100 events of channels named "kept-*", private and
// encrypted ones too, and returns its URL and its broker. It ends with the test.
func Ours(t testing.TB) (string, *broker.Broker) {
	t.Helper()
	b, err := broker.New(broker.WithChannelRules(
		broker.ChannelRule{Pattern: "kept-*", History: broker.Retention{Events: 100}},
		broker.ChannelRule{Pattern: "private-encrypted-kept-*", History: broker.Retention{Events: 100}}))
	require.NoError(t, err)
	app := pusher.App{ID: ID, Key: Key, Secret: Secret, EncryptionMasterKey: []byte("01234567890123456789012345678901"), AllowedOrigins: []string{"*"}}
	apps, err := pusher.NewApps(app)
	require.NoError(t, err)
	h, err := pusher.NewHandler(b, apps)
	require.NoError(t, err)
	srv := httptest.NewUnstartedServer(pusher.MergeSlashes(h))
	srv.Config.ConnContext = pusher.ConnContext
	srv.Start()
	t.Cleanup(func() {
		assert.NoError(t, h.Shutdown(context.WithoutCancel(t.Context()), srv.Config))
		srv.Close()
	})
	return srv.URL, b
}

// App is an app with the credentials of every server here.
func App(t testing.TB, at string) client.App {
	t.Helper()
	u, err := url.Parse(at)
	require.NoError(t, err)
	return client.App{API: *u, Socket: *u, ID: ID, Key: Key, Secret: Secret, MasterKey: []byte("01234567890123456789012345678901")}
}

// Peer is a client's connection, as a server sees it.
type Peer struct {
	*websocket.Conn
	// Number is which connection to the server this is, from 0.
	Number int
	ctx    context.Context
}

// Say sends messages; that the client is gone is no error.
func (p *Peer) Say(messages ...string) {
	for _, m := range messages {
		if p.Write(p.ctx, websocket.MessageText, []byte(m)) != nil {
			return
		}
	}
}

// Welcome sends what every connection begins with.
func (p *Peer) Welcome() {
	p.Say(fmt.Sprintf(`{"event":"pusher:connection_established","data":"{\"socket_id\":\"7.%d\",\"activity_timeout\":120}"}`, p.Number+1))
}

// Hear returns the next message, or an empty one once the client is gone.
func (p *Peer) Hear() string {
	_, m, err := p.Read(p.ctx)
	if err != nil {
		return ""
	}
	return string(m)
}

// Hostile starts a server that lets speak do what it wants with each connection, whose
// end speak's return is, without a close frame. It ends with the test.
func Hostile(t testing.TB, speak func(*Peer)) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	srv := httptest.NewServer(Speaking(ctx, speak))
	t.Cleanup(func() {
		cancel()
		srv.Close()
	})
	return srv.URL
}

// Speaking is the handler of such a server, until ctx ends.
func Speaking(ctx context.Context, speak func(*Peer)) http.Handler {
	var numbers atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = conn.CloseNow() }()
		speak(&Peer{Conn: conn, Number: int(numbers.Add(1)) - 1, ctx: ctx})
	})
}

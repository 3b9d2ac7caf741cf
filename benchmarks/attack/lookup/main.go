// Command lookup floods a server, in this process, whose program looks apps up
// where it gets no answer once clients are connected: it tells what that holds
// although no app has a webhook. Copy this folder into another checkout to measure
// that.
//
//	go run ./attack/lookup
package main

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"regexp"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/pusher"
)

// sockets is how many clients flood, for how long, with events of how many bytes.
const (
	sockets  = 64
	duration = 5 * time.Second
	size     = 9000
)

// hanging answers by key until hang is set, and after that not before the caller
// gives up.
type hanging struct {
	app  pusher.App
	hang atomic.Bool
}

func (h *hanging) AppByKey(ctx context.Context, _ string) (*pusher.App, error) { return h.find(ctx) }
func (h *hanging) AppByID(ctx context.Context, _ string) (*pusher.App, error)  { return h.find(ctx) }

func (h *hanging) find(ctx context.Context) (*pusher.App, error) {
	if h.hang.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return &h.app, nil
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	b, err := broker.New()
	if err != nil {
		return err
	}
	apps := &hanging{app: pusher.App{ID: "1", Key: "key", Secret: "secret"}}
	handler, err := pusher.NewHandler(b, apps)
	if err != nil {
		return err
	}
	server := httptest.NewServer(handler)
	defer server.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	clients := make([]*websocket.Conn, sockets)
	for i := range clients {
		url := "ws" + strings.TrimPrefix(server.URL, "http") + "/app/key?protocol=7"
		if clients[i], _, err = websocket.Dial(ctx, url, nil); err != nil {
			return err
		}
		if err := join(ctx, clients[i], &apps.app, fmt.Sprintf("private-room-%d", i)); err != nil {
			return err
		}
	}
	apps.hang.Store(true)
	sent := flood(ctx, clients)
	debug.FreeOSMemory()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	fmt.Printf("%d client events of %d bytes by %d sockets while every look-up of the app hangs: %s\n",
		sent, size, sockets, regexp.MustCompile(`VmRSS:\s+(.*)`).FindSubmatch(status)[1])
	for _, c := range clients {
		_ = c.CloseNow()
	}
	apps.hang.Store(false)
	return b.Shutdown(ctx)
}

// join subscribes to a channel on which clients may send events.
func join(ctx context.Context, c *websocket.Conn, app *pusher.App, channel string) error {
	_, hello, err := c.Read(ctx)
	if err != nil {
		return err
	}
	id := regexp.MustCompile(`[0-9]+\.[0-9]+`).Find(hello)
	signature, err := pusher.SignChannel(app, string(id), channel, "")
	if err != nil {
		return err
	}
	err = c.Write(ctx, websocket.MessageText, fmt.Appendf(nil,
		`{"event":"pusher:subscribe","data":{"channel":%q,"auth":%q}}`, channel, signature))
	if err == nil {
		_, _, err = c.Read(ctx)
	}
	return err
}

// flood sends client events on every connection, and says how many.
func flood(ctx context.Context, clients []*websocket.Conn) int64 {
	ctx, cancel := context.WithTimeout(ctx, duration)
	defer cancel()
	var sent atomic.Int64
	var all sync.WaitGroup
	for i, c := range clients {
		frame := fmt.Appendf(nil, `{"event":"client-flood","channel":"private-room-%d","data":"%0*d"}`, i, size, 0)
		all.Go(func() {
			for ctx.Err() == nil {
				if _, _, err := c.Read(ctx); err != nil {
					return
				}
			}
		})
		all.Go(func() {
			for ctx.Err() == nil && c.Write(ctx, websocket.MessageText, frame) == nil {
				sent.Add(1)
			}
		})
	}
	all.Wait()
	return sent.Load()
}

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// members is how many join while the receiver of webhooks hangs.
func (t *target) members() int { return t.of(100) }

// receiver takes webhooks, once it is let to.
type receiver struct {
	url  string
	http *http.Server
	done chan struct{}
	goOn chan struct{}

	mu    sync.Mutex
	added map[string]bool // guarded by mu; the users of whom member_added has told
}

func startReceiver() (*receiver, error) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &receiver{url: "http://" + ln.Addr().String() + "/", done: make(chan struct{}), goOn: make(chan struct{}), added: make(map[string]bool)}
	r.http = &http.Server{Handler: r, ReadHeaderTimeout: dialTimeout}
	go func() {
		defer close(r.done)
		_ = r.http.Serve(ln)
	}()
	return r, nil
}

// ServeHTTP implements http.Handler.
func (r *receiver) ServeHTTP(_ http.ResponseWriter, req *http.Request) {
	select {
	case <-r.goOn:
	case <-req.Context().Done():
		return
	}
	var body struct {
		Events []struct {
			Name   string `json:"name"`
			UserID string `json:"user_id"`
		} `json:"events"`
	}
	text, err := io.ReadAll(req.Body)
	if err != nil || json.Unmarshal(text, &body) != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range body.Events {
		if e.Name == "member_added" {
			r.added[e.UserID] = true
		}
	}
}

func (r *receiver) told() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.added)
}

func (r *receiver) stop() {
	_ = r.http.Close()
	<-r.done
}

// hooks makes changes that nobody but a receiver of webhooks hears of, until the
// context ends, while members join a channel one after another and stay.
func hooks(ctx context.Context, t *target) (string, error) {
	var changes atomic.Int64
	go func() {
		pause := time.Second / 20
		for i := range t.members() {
			c, err := t.dial(context.WithoutCancel(ctx), "", false)
			if err == nil {
				channel := fmt.Sprintf("presence-room-%d", i/50)
				if _, err = c.Write(subscribing(c, channel, fmt.Sprintf("user-%d", i))); err == nil && c.await("subscription_succeeded") == nil {
					t.joined.Add(1)
				}
				// It stays until the server is gone.
				go func() { _, _ = io.Copy(io.Discard, c) }()
			}
			time.Sleep(pause)
		}
	}()
	each(t.of(8), func(i int) error {
		for ctx.Err() == nil {
			c, err := t.dial(ctx, "", false)
			if err != nil {
				time.Sleep(10 * time.Millisecond)
				continue
			}
			stop := context.AfterFunc(ctx, func() { _ = c.Close() })
			go func() {
				_, _ = io.Copy(io.Discard, c)
				_ = c.Close()
			}()
			for n := 0; err == nil; n++ {
				name := fmt.Sprintf("channel-%d-%d-%0120d", i, n, n)
				_, err = c.Write(append(subscribing(c, name, ""), frame(`{"event":"pusher:unsubscribe","data":{"channel":"`+name+`"}}`)...))
				if err == nil {
					changes.Add(2)
				}
			}
			stop()
			_ = c.Close()
		}
		return nil
	})
	return fmt.Sprintf("%d changes sent", changes.Load()), nil
}

// hooksAfter lets the receiver go on, and counts the members that it is told of.
func hooksAfter(ctx context.Context, t *target) (string, error) {
	close(t.webhooks.goOn)
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for t.webhooks.told() < t.members() && ctx.Err() == nil {
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Sprintf("of %d members that joined, the receiver was told of %d", t.joined.Load(), t.webhooks.told()), nil
}

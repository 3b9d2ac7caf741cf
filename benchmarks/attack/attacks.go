package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

func attacks() []attack {
	return []attack{
		{
			name: "bodies", run: halfBodies,
			what: "1000 unsigned requests of 1 MiB that lack the end of their body",
		},
		{
			name: "term", run: terminate,
			what: "SIGTERM while one such request is there",
		},
		{
			name: "origin", run: longOrigin, flags: []string{"-origins", "https://*.example.com:*"},
			what: "two handshakes with an Origin of 300 KiB, which a pattern has to be compared with",
		},
		{
			name: "channels", run: manyChannels,
			what: "one socket that subscribes to up to a million public channels",
		},
		{
			name: "pings", run: flooding(`{"event":"pusher:ping","data":{}}`),
			what: "32 sockets that send pusher:ping as fast as they can",
		},
		{
			name: "garbage", run: garbage,
			what: "300 sockets that send nonsense and do not read the answers",
		},
		{
			name: "churn", run: churn, flags: []string{"-history", "room=100", "-rewind", "100"},
			prepare: func(ctx context.Context, t *target) error { return t.fill(ctx, "room", 100, 9000) },
			what:    "4 sockets that subscribe to and unsubscribe from a channel with a rewind of 900 KB",
		},
		{
			name: "sessions", run: sessions("/app/" + appKey), flags: []string{"-trusted-proxies", "127.0.0.0/8"},
			what: "100000 sessions of xhr_polling from four addresses",
		},
		{
			name: "sockjs", run: sessions("/pusher"), flags: []string{"-trusted-proxies", "127.0.0.0/8"},
			what: "100000 sessions of sockjs from four addresses, which name no app",
		},
		{
			name: "hooks", run: hooks, after: hooksAfter,
			what: "8 sockets that occupy and vacate channels while the webhooks' receiver hangs and 100 members join",
		},
		{
			name: "resume", run: resume, flags: []string{"-history", "room=5000"},
			prepare: func(ctx context.Context, t *target) error { return t.fill(ctx, "room", 4700, 10_000) },
			what:    "16 connections that resume a feed from nowhere, of 47 MB that are kept",
		},
	}
}

const bodyBytes = 1 << 20

// halfBody sends a request but for the end of its body, and waits for an answer
// that does not come, or for the context.
func halfBody(ctx context.Context, t *target, body []byte, sent func()) error {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp4", t.addr)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	if _, err = fmt.Fprintf(c, "POST /apps/%s/events HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n",
		appID, bodyBytes); err != nil {
		return err
	}
	if _, err := c.Write(body); err != nil {
		return err
	}
	sent()
	if _, err := io.Copy(io.Discard, c); err != nil && ctx.Err() == nil {
		return err
	}
	if ctx.Err() == nil {
		return errors.New("turned away")
	}
	return nil
}

func halfBodies(ctx context.Context, t *target) (string, error) {
	body := make([]byte, bodyBytes-10)
	n := t.of(1000)
	failed, last := each(n, func(int) error { return halfBody(ctx, t, body, func() {}) })
	return fmt.Sprintf("%d of %d still held at the end%s", n-failed, n, because(last)), nil
}

// because tells the last of what kept an attacker out.
func because(last error) string {
	if last == nil {
		return ""
	}
	return "; the last was ended by: " + strings.ReplaceAll(fmt.Sprintf("%.100s", last.Error()), "\n", " ")
}

func terminate(ctx context.Context, t *target) (string, error) {
	// The request stays for longer than the attack lasts.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	there := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = halfBody(ctx, t, make([]byte, 1000), func() { close(there) })
	}()
	select {
	case <-there:
	case <-ended:
	}
	start := time.Now()
	if err := t.signal(syscall.SIGTERM); err != nil {
		return "", err
	}
	select {
	case <-t.done:
		return fmt.Sprintf("ended after %.1f s", time.Since(start).Seconds()), nil
	case <-ctx.Done():
		return "did not end in a minute", nil
	}
}

func longOrigin(ctx context.Context, t *target) (string, error) {
	origin := "https://" + strings.Repeat(".example.com:", 300<<10/13) + "/"
	var answered atomic.Int64
	each(2, func(int) error {
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp4", t.addr)
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }()
		defer context.AfterFunc(ctx, func() { _ = c.Close() })()
		_, err = fmt.Fprintf(c, "GET /app/%s?protocol=7 HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nOrigin: %s\r\n\r\n", appKey, origin)
		if err != nil {
			return err
		}
		if _, err = c.Read(make([]byte, 1)); err == nil {
			answered.Add(1)
		}
		<-ctx.Done()
		return nil
	})
	return fmt.Sprintf("%d of 2 answered", answered.Load()), nil
}

func manyChannels(ctx context.Context, t *target) (string, error) {
	c, err := t.dial(ctx, "", false)
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Now()) })
	defer stop()
	var succeeded atomic.Int64
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			text, err := c.read()
			if err != nil {
				return
			}
			if strings.Contains(string(text), "subscription_succeeded") {
				succeeded.Add(1)
			}
		}
	}()
	sent := 0
	for i := range t.of(1_000_000) {
		if _, err = c.Write(subscribing(c, fmt.Sprintf("channel-%d", i), "")); err != nil {
			break
		}
		sent++
	}
	<-ctx.Done() // what it has, it keeps
	<-ended
	return fmt.Sprintf("%d subscribed of %d sent", succeeded.Load(), sent), nil
}

// flooding sends a message as fast as it goes and reads what comes.
func flooding(message string) func(context.Context, *target) (string, error) {
	return func(ctx context.Context, t *target) (string, error) {
		piece := repeated(frame(message), 16<<10)
		var sent, came atomic.Int64
		each(t.of(32), func(int) error {
			for ctx.Err() == nil {
				c, err := t.dial(ctx, "", false)
				if err != nil {
					time.Sleep(10 * time.Millisecond)
					continue
				}
				came.Add(1)
				stop := context.AfterFunc(ctx, func() { _ = c.Close() })
				go func() {
					_, _ = io.Copy(io.Discard, c)
					_ = c.Close()
				}()
				for err == nil {
					var n int
					n, err = c.Write(piece)
					sent.Add(int64(n))
				}
				stop()
				_ = c.Close()
			}
			return nil
		})
		return fmt.Sprintf("%d MiB sent over %d connections", sent.Load()>>20, came.Load()), nil
	}
}

func repeated(frame []byte, size int) (piece []byte) {
	for len(piece) < size {
		piece = append(piece, frame...)
	}
	return piece
}

func garbage(ctx context.Context, t *target) (string, error) {
	piece := repeated(frame("nonsense"), 16<<10)
	n := t.of(300)
	ended, last := each(n, func(int) error {
		c, err := t.dial(ctx, "", true)
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }()
		stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Now()) })
		defer stop()
		for err == nil {
			_, err = c.Write(piece)
		}
		if ctx.Err() != nil {
			return nil
		}
		return err
	})
	return fmt.Sprintf("%d of %d still there at the end%s", n-ended, n, because(last)), nil
}

func churn(ctx context.Context, t *target) (string, error) {
	var sent, got atomic.Int64
	each(4, func(int) error {
		for ctx.Err() == nil {
			c, err := t.dial(ctx, "", false)
			if err != nil {
				time.Sleep(10 * time.Millisecond)
				continue
			}
			stop := context.AfterFunc(ctx, func() { _ = c.Close() })
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				n, _ := io.Copy(io.Discard, c)
				got.Add(n)
				_ = c.Close()
			}()
			piece := append(subscribing(c, "room", ""), frame(`{"event":"pusher:unsubscribe","data":{"channel":"room"}}`)...)
			for err == nil {
				var n int
				n, err = c.Write(piece)
				sent.Add(int64(n))
			}
			stop()
			_ = c.Close()
			<-ended
		}
		return nil
	})
	return fmt.Sprintf("%d bytes came for each one sent, %d MiB in all", got.Load()/max(sent.Load(), 1), got.Load()>>20), nil
}

func resume(ctx context.Context, t *target) (string, error) {
	var asked atomic.Int64
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	url := "http://" + t.addr + "/sse/app/" + appKey + "?channels=room&last_event_id=room%3D%3A0"
	each(t.of(16), func(int) error {
		for ctx.Err() == nil {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
			if err != nil {
				return err
			}
			res, err := client.Do(req)
			if err != nil {
				continue
			}
			// Up to the first line, which is there once the past has been read.
			if _, err := io.ReadFull(res.Body, make([]byte, 16)); err == nil {
				asked.Add(1)
			}
			_ = res.Body.Close()
		}
		return nil
	})
	return fmt.Sprintf("%d requests answered", asked.Load()), nil
}

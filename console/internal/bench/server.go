package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/console"
	"github.com/carillon-rt/carillon/pusher"
)

const token = "a token for the benchmark only"

// serve is one server: it publishes so many events a second, says where it is, and on each
// line that it reads measures itself for the time that the line says.
func serve(kind string, perSecond int) error {
	mux := http.NewServeMux()
	var options []broker.Option
	var c *console.Console
	if kind != without {
		var err error
		if c, err = console.New(console.WithToken(token)); err != nil {
			return err
		}
		defer c.Close()
		options = append(options, broker.WithObserver(c))
		mux.Handle("/console/", http.StripPrefix("/console", c))
	}
	b, err := broker.New(options...)
	if err != nil {
		return err
	}
	apps, err := pusher.NewApps(pusher.App{ID: "1", Key: "app-key", Secret: "app-secret-of-the-benchmark"})
	if err != nil {
		return err
	}
	h, err := pusher.NewHandler(b, apps)
	if err != nil {
		return err
	}
	mux.Handle("/", h)
	if c != nil {
		if err := c.Attach(b, h); err != nil {
			return err
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() { _ = http.Serve(listener, mux) }()
	fmt.Println(listener.Addr())

	lines := bufio.NewScanner(os.Stdin)
	if !lines.Scan() {
		return nil
	}
	lasts, err := time.ParseDuration(lines.Text())
	if err != nil {
		return err
	}
	ctx := context.Background()
	publish(ctx, b, perSecond, time.Second) // until all is warm
	cpu, delivered := used(), b.Stats().Delivered
	publish(ctx, b, perSecond, lasts)
	m := measured{CPU: used() - cpu, Deliveries: b.Stats().Delivered - delivered}
	return json.NewEncoder(os.Stdout).Encode(m)
}

// publish publishes evenly for a while.
func publish(ctx context.Context, b *broker.Broker, perSecond int, lasts time.Duration) {
	const step = 10 * time.Millisecond
	data := []byte(`{"text":"what people say to each other is about so long, as a rule"}`)
	app := b.App("1")
	began := time.Now()
	ticker := time.NewTicker(step)
	defer ticker.Stop()
	for sent := 0; ; {
		elapsed := time.Since(began)
		if elapsed >= lasts {
			return
		}
		for due := int(elapsed.Seconds() * float64(perSecond)); sent < due; sent++ {
			_, _ = app.Publish(ctx, "room", "message", data)
		}
		<-ticker.C
	}
}

// used is the CPU time of this process.
func used() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// Command inprocess subscribes within the process, never takes an event, and
// publishes: it tells what that holds. Copy this folder into another checkout to
// measure that.
//
//	go run ./attack/inprocess
package main

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"runtime/debug"
	"time"

	"github.com/carillon-rt/carillon/broker"
)

func main() {
	b, err := broker.New()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	app := b.App("1")
	sub, err := app.Subscribe(ctx, "room")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	taken, blocked := make(chan error, 1), make(chan struct{})
	go func() {
		for _, err := range sub.Events() {
			taken <- err
			<-blocked
			if err != nil {
				return
			}
		}
	}()
	var failed error
	data := func() []byte {
		b := make([]byte, broker.DefaultMaxEventBytes)
		for i := range b {
			b[i] = '1'
		}
		return b
	}
	// The first until the subscription is there, which then takes no more.
	for published := false; !published && failed == nil; {
		_, failed = app.Publish(ctx, "room", "message", []byte("1"))
		select {
		case <-taken:
			published = true
		case <-time.After(time.Millisecond):
		}
	}
	for range 500 {
		if _, err := app.Publish(ctx, "room", "message", data()); err != nil {
			failed = err
		}
	}
	debug.FreeOSMemory()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("500 events of 1 MiB for a subscription that takes none: %s; the last error: %v\n",
		regexp.MustCompile(`VmRSS:\s+(.*)`).FindSubmatch(status)[1], failed)
	close(blocked)
	_ = b.Shutdown(ctx)
}

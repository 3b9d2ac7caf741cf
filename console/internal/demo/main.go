// Demo is a server with something to see in its console: clients who come and go, hostile
// names, traffic, refusals, webhooks that are taken and that are not. It serves the page's
// own tests and those who work on the page; it is no example of anything.
//
//	go run ./console/internal/demo -addr 127.0.0.1:0
//
// Its first line on standard output is JSON: the URL with the token, and the token.
package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// config is what the flags say.
type config struct {
	addr                                  string
	channels, clients, rate               int
	storeDown, empty, readOnly, redact    bool
	forbid, untilEOF, verbose, noWebhooks bool
	seed                                  uint64
	token                                 string
}

func main() {
	var c config
	flag.StringVar(&c.addr, "addr", "127.0.0.1:0", "where to listen")
	flag.IntVar(&c.channels, "channels", 0, "this many channels more")
	flag.IntVar(&c.clients, "clients", 40, "how many clients")
	flag.IntVar(&c.rate, "rate", 50, "events a second")
	flag.BoolVar(&c.storeDown, "store-down", false, "the store fails")
	flag.BoolVar(&c.empty, "empty", false, "no clients and no traffic")
	flag.BoolVar(&c.readOnly, "read-only", false, "the console changes nothing")
	flag.BoolVar(&c.redact, "redact", false, "the console hides what it can hide")
	flag.BoolVar(&c.forbid, "forbid", false, "nobody may see the console")
	flag.BoolVar(&c.untilEOF, "until-eof", false, "end when standard input ends")
	flag.BoolVar(&c.noWebhooks, "no-webhooks", false, "no webhooks")
	flag.BoolVar(&c.verbose, "v", false, "log to standard error")
	flag.Uint64Var(&c.seed, "seed", 1, "of what happens")
	flag.StringVar(&c.token, "token", "", "the console's token; empty makes one")
	flag.Parse()
	if c.token == "" {
		c.token = rand.Text()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if c.untilEOF {
		go func() {
			_, _ = io.Copy(io.Discard, bufio.NewReader(os.Stdin))
			stop()
		}()
	}
	if err := run(ctx, c, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, c config, out io.Writer) error {
	log := slog.New(slog.DiscardHandler)
	if c.verbose {
		log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	listener, err := net.Listen("tcp", c.addr)
	if err != nil {
		return err
	}
	base := "http://" + listener.Addr().String()
	s, err := newServer(c, log, base)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelInfo)}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	traffic := make(chan error, 1)
	go func() { traffic <- s.traffic(ctx) }()

	first, err := json.Marshal(map[string]string{"url": base + "/console/#token=" + c.token, "token": c.token})
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(out, string(first)); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
	case err = <-served:
	}
	s.console.Close() // which ends the streams that the server would wait for
	end, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	if shutdown := s.handler.Shutdown(end, server); c.verbose && shutdown != nil {
		log.Info("shutdown", "error", shutdown)
	}
	<-traffic
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return err
}

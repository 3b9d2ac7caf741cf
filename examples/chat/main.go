// Command chat is a chat room in one program: a React page that uses pusher-js
// and Laravel Echo, the realtime server that they connect to, and the
// application that keeps who is who. It is an example of embedding Carillon, not
// a product: there are no accounts, and its memory ends with the process.
//
//	make chat
//	go run ./examples/chat -addr 127.0.0.1:9000 # or ADDR=127.0.0.1:9000 make chat
package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/carillon-rt/carillon/pusher"
)

const shutdownTimeout = 10 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends it at once
	err := run(ctx, os.Args[1:], os.Stdout)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "chat:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("chat", flag.ContinueOnError)
	addr := flags.String("addr", cmp.Or(os.Getenv("ADDR"), "127.0.0.1:8081"), "`address` to listen on (also ADDR)")
	web := flags.String("web", filepath.FromSlash("examples/chat/web/dist"), "`folder` of the built page")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(*web, "index.html")); err != nil {
		return fmt.Errorf("no built page in %q: run `make chat`, or say with -web where it is: %w", *web, err)
	}
	c, err := newChat(cmp.Or(os.Getenv("CHAT_APP_SECRET"), rand.Text()))
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		err = fmt.Errorf("-addr (or ADDR) %s: %w", *addr, err)
		return errors.Join(err, c.realtime.Shutdown(context.WithoutCancel(ctx)))
	}
	server := &http.Server{
		Handler:           c.routes(os.DirFS(*web)),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second, // streams outlive it
		IdleTimeout:       2 * time.Minute,
		ConnContext:       pusher.ConnContext,
		ErrorLog:          slog.NewLogLogger(slog.Default().Handler(), slog.LevelWarn),
	}
	fmt.Fprintf(out, "Carillon chat: http://%s\n", listener.Addr())

	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err = <-served:
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	return errors.Join(err, c.realtime.Shutdown(ctx, server))
}

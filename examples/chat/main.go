// Command chat is a chat for a team in one program: rooms, private rooms and direct
// messages, files, search and notifications. It has a React page that uses
// pusher-js, the realtime server that it connects to, and the
// application, which keeps all in one SQLite database. It is an example of what
// Carillon is for, in small files to read one after the other: begin with server.go,
// routes.go and post.go.
//
//	make chat          # DEMO=1 make chat begins with rooms and people who talk
//	go run ./examples/chat -addr 127.0.0.1:9000 # or ADDR=127.0.0.1:9000 make chat
package main

import (
	"cmp"
	"context"
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

	"github.com/carillon-rt/carillon/pusher"
)

// shutdownTimeout is how long the end may take.
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
func run(ctx context.Context, args []string, out io.Writer) (err error) {
	cfg, err := parseFlags(args)
	if err != nil {
		return err
	}
	if cfg.temporary {
		defer func() { err = errors.Join(err, os.RemoveAll(cfg.data)) }()
	}
	c, err := newChat(ctx, cfg)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", cfg.addr)
	if err != nil {
		err = fmt.Errorf("-addr (or ADDR) %s: %w", cfg.addr, err)
		return errors.Join(err, c.shutdown(context.WithoutCancel(ctx)))
	}
	server := &http.Server{
		Handler:           c.routes(os.DirFS(cfg.web)),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second, // streams and uploads outlive it
		IdleTimeout:       2 * time.Minute,
		ConnContext:       pusher.ConnContext,
		ErrorLog:          slog.NewLogLogger(slog.Default().Handler(), slog.LevelWarn),
	}
	url := cmp.Or(cfg.url, "http://"+listener.Addr().String())
	fmt.Fprintf(out, "Carillon chat: %s\n", url)
	err = c.greet(ctx, out, url)

	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	if err == nil {
		select {
		case err = <-served:
		case <-ctx.Done():
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	return errors.Join(err, c.shutdown(ctx, server))
}

// greet says to whoever has started the program what there is to know.
func (c *chat) greet(ctx context.Context, out io.Writer, url string) error {
	if c.config.temporary {
		fmt.Fprintln(out, "Nothing is kept: all ends with the program.")
	} else {
		fmt.Fprintf(out, "Data folder: %s\n", c.config.data)
	}
	var admins bool
	if err := c.db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM users WHERE role = 'admin' AND length(passphrase) > 0)`).Scan(&admins); err != nil {
		return err
	}
	// Whoever comes first with such a link is the first of that role.
	if !admins && !c.config.demo {
		for _, role := range []string{"teacher", "admin"} {
			inv, err := c.invite(ctx, role)
			if err != nil {
				return err
			}
			fmt.Fprintf(out, "To become %s: %s%s\n", article(role), url, inv.URL)
		}
	}
	fmt.Fprintln(out, "Open a private window to be a second person.")
	return nil
}

func article(role string) string {
	if role == "admin" {
		return "an admin"
	}
	return "a " + role
}

// Quickstart is a chat with presence in one program: run it and open two tabs.
//
//	go run ./examples/quickstart # or ADDR=127.0.0.1:9000 go run ./examples/quickstart
//	go run ./examples/quickstart -storage sqlite:quickstart.db # has the messages still after a restart
package main

import (
	"cmp"
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/pusher"
	"github.com/carillon-rt/carillon/storage/sqlite"
)

//go:embed index.html
var page []byte

const room = "presence-room"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends it at once
	storage := flag.String("storage", "memory", "`where` messages are kept: memory, or sqlite:FILE")
	flag.Parse()
	if err := run(ctx, cmp.Or(os.Getenv("ADDR"), "127.0.0.1:8080"), *storage, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// run serves on an address until ctx ends, and says to out where.
func run(ctx context.Context, addr, storage string, out io.Writer) error {
	// New subscribers get the last 20 messages; a reload is not a leave and a join.
	options := []broker.Option{broker.WithChannelRules(broker.ChannelRule{Pattern: room, Rewind: 20, LeaveGrace: 2 * time.Second,
		History: broker.Retention{Events: 20}})}
	if file, ok := strings.CutPrefix(storage, "sqlite:"); ok {
		store, err := sqlite.Open(file)
		if err != nil {
			return err
		}
		defer store.Close() // after the broker, which Shutdown closes
		options = append(options, broker.WithHistory(store))
	} else if storage != "memory" {
		return fmt.Errorf("-storage %q is neither memory nor sqlite:FILE", storage)
	}
	b, err := broker.New(options...)
	if err != nil {
		return err
	}
	app := &pusher.App{ID: "1", Key: "app-key", Secret: rand.Text()}
	apps, err := pusher.NewApps(*app)
	if err != nil {
		return err
	}
	realtime, err := pusher.NewHandler(b, apps)
	if err != nil {
		return err
	}

	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(page) })
	mux.Handle("/app/", realtime)
	mux.Handle("/pusher/auth", pusher.NewAuthHandler(app, func(r *http.Request, req pusher.AuthRequest) (*broker.Member, error) {
		name := r.FormValue("name") // a real program asks its session
		if req.Channel != room || name == "" {
			return nil, broker.Refuse(http.StatusForbidden, "give a name, and join "+room)
		}
		return &broker.Member{UserID: name}, nil
	}))
	mux.HandleFunc("POST /messages", func(w http.ResponseWriter, r *http.Request) {
		data, err := json.Marshal(map[string]string{"from": r.FormValue("from"), "text": r.FormValue("text")})
		if err == nil {
			_, err = b.App(app.ID).Publish(r.Context(), room, "message", data)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	})

	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("ADDR %s: %w", addr, err)
	}
	srv := &http.Server{ // pages of other sites may not post
		Handler:           http.NewCrossOriginProtection().Handler(pusher.MergeSlashes(mux)),
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, ConnContext: pusher.ConnContext}
	fmt.Fprintf(out, "Carillon quickstart, a chat in two tabs: http://%s\n", listener.Addr())
	served := make(chan error, 1)
	go func() { served <- srv.Serve(listener) }()
	select {
	case err = <-served:
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return errors.Join(err, realtime.Shutdown(ctx, srv))
}

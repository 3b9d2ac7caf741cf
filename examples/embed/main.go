// Embed mounts the handler under /realtime/ with net/http, chi, gin and echo.
//
//	go run ./examples/embed -with gin # or ADDR=127.0.0.1:9000 go run ./examples/embed
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	"github.com/labstack/echo/v4"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/pusher"
)

// mounts are the ways to mount a handler, by the name of the router.
var mounts = map[string]func(realtime http.Handler) http.Handler{
	"net/http": func(realtime http.Handler) http.Handler {
		mux := http.NewServeMux()
		mux.Handle("/realtime/", realtime)
		return pusher.MergeSlashes(mux) // which it would answer with redirects
	},
	"chi": func(realtime http.Handler) http.Handler {
		r := chi.NewRouter()
		r.Handle("/realtime/*", realtime)
		return r
	},
	"gin": func(realtime http.Handler) http.Handler {
		gin.SetMode(gin.ReleaseMode)
		r := gin.New()
		r.Any("/realtime/*path", gin.WrapH(realtime))
		return r
	},
	"echo": func(realtime http.Handler) http.Handler {
		e := echo.New()
		e.Any("/realtime/*", echo.WrapHandler(realtime))
		return e
	},
}

func main() {
	with := flag.String("with", "net/http", "`router` to mount with: net/http, chi, gin or echo")
	flag.Parse()
	mount, ok := mounts[*with]
	if !ok {
		log.Fatalf("router %q is unknown: use net/http, chi, gin or echo", *with)
	}
	b, err := broker.New()
	if err != nil {
		log.Fatal(err)
	}
	apps, err := pusher.NewApps(pusher.App{ID: "1", Key: "app-key", Secret: "app-secret"})
	if err != nil {
		log.Fatal(err)
	}
	realtime, err := pusher.NewHandler(b, apps)
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", cmp.Or(os.Getenv("ADDR"), "127.0.0.1:8082"))
	if err != nil {
		log.Fatal(err)
	}
	srv := &http.Server{Handler: mount(realtime), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, ConnContext: pusher.ConnContext}
	stopped, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	go func() {
		log.Printf("%s serves ws://%s/realtime/app/app-key", *with, listener.Addr())
		if err := srv.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Fatal(err)
		}
	}()
	<-stopped.Done()
	stop() // a second signal ends it at once
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := realtime.Shutdown(ctx, srv); err != nil {
		log.Fatal(err)
	}
}

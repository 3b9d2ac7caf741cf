// Package page serves the page of the steps, so that their programs have nothing but
// what they are about.
package page

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"time"

	"github.com/carillon-rt/carillon/pusher"
)

//go:embed index.html
var index []byte

// Serve serves the page, the routes of mux and the realtime connections, at ADDR or
// 127.0.0.1:8080, until the program is interrupted. Then it ends all of them.
func Serve(mux *http.ServeMux, realtime *pusher.Handler) error {
	html := index
	if _, pattern := mux.Handler(&http.Request{Method: "POST", URL: &url.URL{Path: "/files"}}); pattern != "" {
		html = bytes.Replace(html, []byte(" hidden"), nil, 1) // the field for files
	}
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(html) })
	mux.Handle("/app/", realtime)
	listener, err := net.Listen("tcp", cmp.Or(os.Getenv("ADDR"), "127.0.0.1:8080"))
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:           http.NewCrossOriginProtection().Handler(mux), // pages of other sites may not post
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, ConnContext: pusher.ConnContext,
	}
	fmt.Printf("Open http://%s in two browsers\n", listener.Addr())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err = <-served:
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return errors.Join(err, realtime.Shutdown(ctx, server))
}

// Htmx is a list that grows on every screen, with no script of its own: a page of htmx
// whose fragments come as events of a feed. Run it and open two tabs.
//
//	go run ./examples/htmx # or ADDR=127.0.0.1:9000 go run ./examples/htmx
package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/pusher"
	"github.com/carillon-rt/carillon/transport/sse"
)

//go:embed index.html
var source string

var pages = template.Must(template.New("page").Parse(source))

const (
	key     = "app-key"
	channel = "notes"
	kept    = 50
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends it at once
	if err := run(ctx, cmp.Or(os.Getenv("ADDR"), "127.0.0.1:8083"), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// run serves on an address until ctx ends, and says to out where.
func run(ctx context.Context, addr string, out io.Writer) error {
	b, err := broker.New(broker.WithChannelRules(broker.ChannelRule{Pattern: channel, History: broker.Retention{Events: kept}}))
	if err != nil {
		return err
	}
	apps, err := pusher.NewApps(pusher.App{ID: "1", Key: key, Secret: rand.Text()})
	if err != nil {
		return err
	}
	realtime, err := pusher.NewHandler(b, apps)
	if err != nil {
		return err
	}
	notes := &notes{app: b.App("1")}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", notes.page)
	mux.HandleFunc("POST /notes", notes.add)
	mux.Handle("/sse/app/", realtime)

	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("ADDR %s: %w", addr, err)
	}
	srv := &http.Server{ // pages of other sites may not post
		Handler:           http.NewCrossOriginProtection().Handler(mux),
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, ConnContext: pusher.ConnContext}
	fmt.Fprintf(out, "Carillon with htmx, a list on every screen: http://%s\n", listener.Addr())
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

// notes are what is kept of a channel whose events are fragments of HTML.
type notes struct{ app *broker.App }

// page shows the notes so far, and says to the feed where it ends: what is added while the
// page is on its way is not missing.
func (n *notes) page(w http.ResponseWriter, r *http.Request) {
	at, err := n.app.Latest(r.Context(), channel)
	var shown []template.HTML
	for ev, failed := range n.app.History(r.Context(), channel) {
		if err = errors.Join(err, failed); err != nil {
			break
		}
		if !ev.Position.After(at) {
			shown = append(shown, template.HTML(ev.Data)) // which add has escaped
		}
	}
	var html bytes.Buffer
	if err == nil {
		id := sse.ID{Channel: channel, Epoch: at.Epoch.String(), Offset: at.Offset}
		err = pages.Execute(&html, struct {
			Key, Channel, Last string
			Notes              []template.HTML
		}{key, channel, sse.FormatID(id), shown})
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = html.WriteTo(w)
}

// add publishes a note as the fragment that every page appends.
func (n *notes) add(w http.ResponseWriter, r *http.Request) {
	text := r.FormValue("text")
	if text == "" || len(text) > 1000 {
		http.Error(w, "text has to have 1 to 1000 bytes", http.StatusBadRequest)
		return
	}
	fragment := "<li>" + template.HTMLEscapeString(text) + "</li>"
	if _, err := n.app.Publish(r.Context(), channel, "note", []byte(fragment)); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

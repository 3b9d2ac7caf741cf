// The first step from the quickstart: people have names that nobody else can have, and
// only they get into the room.
package main

import (
	"crypto/rand"
	"encoding/json"
	"log"
	"net/http"
	"sync"
	"time"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/examples/chat/steps/page"
	"github.com/carillon-rt/carillon/pusher"
)

const room = "presence-room"

// people are those who have signed in: their names by what their cookies hold.
type people struct {
	mu    sync.Mutex
	names map[string]string
}

// of returns the name of who sent a request.
func (p *people) of(r *http.Request) (name string, ok bool) {
	cookie, err := r.Cookie("chat")
	if err != nil {
		return "", false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	name, ok = p.names[cookie.Value]
	return name, ok
}

// signIn gives a name to whoever asks for it first.
func (p *people) signIn(w http.ResponseWriter, r *http.Request) {
	name := r.FormValue("name")
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, taken := range p.names {
		if taken == name {
			http.Error(w, "There is a "+name+" already.", http.StatusConflict)
			return
		}
	}
	if name == "" || len(name) > 100 {
		http.Error(w, "A name has 1 to 100 bytes.", http.StatusBadRequest)
		return
	}
	token := rand.Text()
	p.names[token] = name
	http.SetCookie(w, &http.Cookie{Name: "chat", Value: token, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

// authorize decides who gets into the room, and as whom.
func (p *people) authorize(r *http.Request, req pusher.AuthRequest) (*broker.Member, error) {
	name, ok := p.of(r)
	if !ok || req.Channel != room {
		return nil, broker.Refuse(http.StatusForbidden, "sign in, and join "+room)
	}
	return &broker.Member{UserID: name}, nil
}

func main() {
	b, err := broker.New(broker.WithChannelRules(broker.ChannelRule{
		Pattern:    room,
		LeaveGrace: 2 * time.Second,   // a reload is no leave
		Publishers: broker.OnlyServer, // messages go through the program, which knows who says them
	}))
	if err != nil {
		log.Fatal(err)
	}
	app := &pusher.App{ID: "1", Key: "app-key", Secret: rand.Text()}
	apps, err := pusher.NewApps(*app)
	if err != nil {
		log.Fatal(err)
	}
	realtime, err := pusher.NewHandler(b, apps)
	if err != nil {
		log.Fatal(err)
	}
	p := &people{names: make(map[string]string)}

	mux := http.NewServeMux()
	mux.HandleFunc("POST /session", p.signIn)
	mux.HandleFunc("GET /session", func(w http.ResponseWriter, r *http.Request) {
		name, _ := p.of(r)
		_, _ = w.Write([]byte(name))
	})
	mux.Handle("POST /pusher/auth", pusher.NewAuthHandler(app, p.authorize))
	mux.HandleFunc("GET /messages", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("[]")) }) // nothing is kept
	mux.HandleFunc("POST /messages", func(w http.ResponseWriter, r *http.Request) {
		name, ok := p.of(r)
		if !ok {
			http.Error(w, "Sign in first.", http.StatusUnauthorized)
			return
		}
		data, err := json.Marshal(map[string]string{"from": name, "text": r.FormValue("text")})
		if err == nil {
			_, err = b.App(app.ID).Publish(r.Context(), room, "new-message", data)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	})
	if err := page.Serve(mux, realtime); err != nil {
		log.Fatal(err)
	}
}

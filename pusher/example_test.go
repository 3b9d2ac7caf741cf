package pusher_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/pusher"
)

func Example() {
	apps, err := pusher.NewApps(pusher.App{ID: "1", Key: "app-key", Secret: "app-secret"})
	if err != nil {
		log.Fatal(err)
	}
	b, err := broker.New()
	if err != nil {
		log.Fatal(err)
	}
	h, err := pusher.NewHandler(b, apps)
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", h)
	srv := &http.Server{Addr: "127.0.0.1:6001", Handler: mux,
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	go func() { _ = srv.ListenAndServe() }()

	// Later, on SIGTERM: refuse what is new, and close what is open so that
	// clients reconnect elsewhere.
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	fmt.Println(h.Shutdown(ctx, srv))
	// Output: <nil>
}

func ExampleNewAuthHandler() {
	app := &pusher.App{ID: "1", Key: "app-key", Secret: "app-secret"}
	http.Handle("/pusher/auth", pusher.NewAuthHandler(app, func(r *http.Request, req pusher.AuthRequest) (*broker.Member, error) {
		cookie, err := r.Cookie("user")
		if err != nil {
			return nil, broker.Refuse(http.StatusUnauthorized, "log in first")
		}
		return &broker.Member{UserID: cookie.Value, Info: []byte(`{"color":"red"}`)}, nil
	}))
}

func ExampleNewUserAuthHandler() {
	app := &pusher.App{ID: "1", Key: "app-key", Secret: "app-secret"}
	http.Handle("/pusher/user-auth", pusher.NewUserAuthHandler(app, func(r *http.Request) (*broker.User, error) {
		cookie, err := r.Cookie("user")
		if err != nil {
			return nil, broker.Refuse(http.StatusUnauthorized, "log in first")
		}
		return &broker.User{ID: cookie.Value, Watchlist: []string{"friend"}}, nil
	}))
}

func ExampleSignChannel() {
	app := &pusher.App{ID: "1", Key: "278d425bdf160c739803", Secret: "7ad3773142a6692b25b8"}
	auth, err := pusher.SignChannel(app, "1234.1234", "private-foobar", "")
	fmt.Println(auth, err)
	// Output: 278d425bdf160c739803:58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4 <nil>
}

// appsInDatabase finds apps wherever the program keeps them.
type appsInDatabase struct{}

func (appsInDatabase) AppByKey(_ context.Context, key string) (*pusher.App, error) {
	if key != "app-key" { // SELECT … WHERE key = $1
		return nil, pusher.ErrUnknownApp
	}
	return &pusher.App{ID: "1", Key: "app-key", Secret: "app-secret"}, nil
}

func (appsInDatabase) AppByID(_ context.Context, id string) (*pusher.App, error) {
	if id != "1" {
		return nil, pusher.ErrUnknownApp
	}
	return &pusher.App{ID: "1", Key: "app-key", Secret: "app-secret"}, nil
}

func ExampleApps() {
	b, err := broker.New()
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = b.Shutdown(context.Background()) }()
	h, err := pusher.NewHandler(b, appsInDatabase{})
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("/realtime/", h)
}

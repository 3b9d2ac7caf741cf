// Package brokertest gives tests a broker and clients of it that speak the real
// protocol without sockets, servers or goroutines of their own. What a call sends to
// clients is in their queues when the call returns, so tests need neither wait nor
// poll; inside testing/synctest time stands still as well. Hooks and time-outs run on
// goroutines of the broker: to test those, make the kit inside the bubble, and call
// synctest.Wait before looking.
//
//	func TestChat(t *testing.T) {
//		kit := brokertest.New(t)
//		ann := kit.Connect(t)
//		ann.Subscribe("room")
//		kit.App.Publish(t.Context(), "room", "message", []byte(`{"text":"hello"}`))
//		ann.Expect("message", "room")
//	}
//
// It is for tests of programs that use package broker, not for benchmarks.
package brokertest

import (
	"context"
	"testing"
	"time"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/pusher"
)

// The credentials of the kit's app.
const (
	AppID  = "1"
	Key    = "test-key"
	Secret = "test-secret"
)

// MasterKey is the kit's key for encrypted channels, 32 bytes.
const MasterKey = "brokertest-master-key-0123456789"

// Kit is a broker with one app, and the handler that clients connect to.
type Kit struct {
	Broker *broker.Broker
	App    *broker.App
	// Handler is what clients connect to. As a broker has one handler, tests that
	// want other options than New has make broker and handler themselves, and a kit
	// with Attach.
	Handler *pusher.Handler
	// Config is the app. Tests may change it before the first Connect.
	Config *pusher.App

	attached bool // to a handler that may ping
}

// ShutdownTimeout is how long a kit's broker may take to end with its test.
const ShutdownTimeout = 10 * time.Second

// never is longer than any test lets time pass.
const never = 100 * 365 * 24 * time.Hour

// New returns a kit whose broker has the given options; it ends with the test,
// which fails if that takes longer than ShutdownTimeout. Clients are not pinged,
// however long they are silent, and closed at once when the broker shuts down.
func New(t testing.TB, opts ...broker.Option) *Kit {
	t.Helper()
	b, err := broker.New(append([]broker.Option{broker.WithDrainWindow(0)}, opts...)...)
	if err != nil {
		t.Fatalf("brokertest: %v", err)
	}
	kit := &Kit{Broker: b, App: b.App(AppID), Config: &pusher.App{
		ID: AppID, Key: Key, Secret: Secret, EncryptionMasterKey: []byte(MasterKey),
	}}
	// Clients have no goroutine that could answer a ping.
	if kit.Handler, err = pusher.NewHandler(b, kit, pusher.WithActivityTimeout(never)); err != nil {
		t.Fatalf("brokertest: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), ShutdownTimeout)
		defer cancel()
		if err := b.Shutdown(ctx); err != nil {
			t.Errorf("brokertest: shutdown: %v", err)
		}
	})
	return kit
}

// Attach returns a kit around a program's own broker and handler, which the program
// shuts down, for tests that want the program as it is: its rules, hooks and options.
// app is the one that clients connect to, with the credentials that the handler knows.
// The handler never takes the clients for silent, so that it neither pings nor closes
// them for that.
func Attach(b *broker.Broker, h *pusher.Handler, app *pusher.App) *Kit {
	return &Kit{Broker: b, App: b.App(app.ID), Handler: h, Config: app, attached: true}
}

// AppByKey implements pusher.Apps.
func (k *Kit) AppByKey(_ context.Context, key string) (*pusher.App, error) {
	if key != k.Config.Key {
		return nil, pusher.ErrUnknownApp
	}
	return k.Config, nil
}

// AppByID implements pusher.Apps.
func (k *Kit) AppByID(_ context.Context, id string) (*pusher.App, error) {
	if id != k.Config.ID {
		return nil, pusher.ErrUnknownApp
	}
	return k.Config, nil
}

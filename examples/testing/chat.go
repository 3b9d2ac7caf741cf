// Package testing shows how to test a program that uses Carillon: without
// sockets, servers or waiting.
package testing

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/carillon-rt/carillon/broker"
)

// Chat is the program: it says things in rooms, and greets who comes.
type Chat struct {
	app *broker.App
}

// NewChat returns a chat on an app of a broker, and has it greet new members.
func NewChat(b *broker.Broker, appID string) *Chat {
	c := &Chat{app: b.App(appID)}
	b.AddHooks(broker.Hooks{MemberJoined: func(_ context.Context, m broker.MemberChange) {
		_ = c.Say(context.Background(), m.Channel, "bot", "welcome, "+m.Member.UserID)
	}})
	return c
}

// ErrEmpty refuses a message without text.
var ErrEmpty = errors.New("message is empty")

// Say publishes a message in a room.
func (c *Chat) Say(ctx context.Context, room, from, text string) error {
	if strings.TrimSpace(text) == "" {
		return ErrEmpty
	}
	data, err := json.Marshal(map[string]string{"from": from, "text": text})
	if err != nil {
		return err
	}
	_, err = c.app.Publish(ctx, room, "message", data)
	return err
}

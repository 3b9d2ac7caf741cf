package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/pusher"
)

// typing is the event by which pages tell each other that somebody writes.
const typing = "client-typing"

// loginKey is where the context of a connection has whose it is.
type loginKey struct{}

// withLogin puts whose browser connects into the context of the connection, where
// hooks find it.
func (c *chat) withLogin(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if l, ok := c.login(r); ok {
			r = r.WithContext(context.WithValue(r.Context(), loginKey{}, l))
		}
		next.ServeHTTP(w, r)
	})
}

func loginIn(ctx context.Context) (login, bool) {
	l, ok := ctx.Value(loginKey{}).(login)
	return l, ok
}

// hooks are where the application has its say in the broker.
func (c *chat) hooks() broker.Hooks {
	return broker.Hooks{
		Connect: func(ctx context.Context, _ *broker.ConnectRequest) error {
			if _, ok := loginIn(ctx); !ok {
				return broker.Refuse(signedOut.status, signedOut.Message)
			}
			return nil
		},
		Subscribe: c.mayRead,
		ClientEvent: func(_ context.Context, req *broker.ClientEventRequest) error {
			if req.Event != typing {
				return broker.Refuse(http.StatusForbidden, "pages send each other "+typing+" only")
			}
			return nil
		},
		Publish: c.filterWords,
		Amend:   c.filterEdits,
		Connected: func(ctx context.Context, ch broker.SessionChange) {
			l, _ := loginIn(ctx)
			c.connections.add(l, ch.Session)
			if _, ok := c.session(ctx, l.id); !ok { // it has ended meanwhile
				ch.Session.Close(broker.CloseTerminated)
			}
		},
		Disconnected: func(ctx context.Context, ch broker.SessionChange) { c.connections.remove(ch.Session) },
		UserOnline:   func(ctx context.Context, ch broker.UserChange) { c.status.came(ctx, ch) },
		UserOffline:  func(ctx context.Context, ch broker.UserChange) { c.status.went(ctx, ch) },
	}
}

// mayRead lets members of a room read its channels, whatever their kind. It is
// asked for every subscription, so it also holds for public channels, and for
// those who kept an old signature.
func (c *chat) mayRead(ctx context.Context, req *broker.SubscribeRequest) error {
	l, _ := loginIn(req.Session.Context())
	l, ok := c.session(ctx, l.id)
	if !ok {
		return broker.Refuse(signedOut.status, signedOut.Message)
	}
	req.Expires = l.expires.time() // the connection ends with the session
	if req.Kind == broker.ServerToUser {
		return nil // signed in as that user
	}
	_, err := c.roomOfChannel(ctx, l.user, req.Channel)
	return err
}

// roomOfChannel returns the room that a channel belongs to, if u is a member.
func (c *chat) roomOfChannel(ctx context.Context, u user, channel string) (*room, error) {
	_, number, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(channel, "private-"), "presence-"), "room-")
	id, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return nil, broker.Refuse(http.StatusForbidden, notFound("room").Message)
	}
	rm, err := c.joinedRoom(ctx, u, id)
	var p *problem
	switch {
	case errors.As(err, &p):
		return nil, broker.Refuse(http.StatusForbidden, p.Message)
	case err != nil:
		return nil, err
	case channel != rm.Channel && channel != rm.Presence:
		return nil, broker.Refuse(http.StatusForbidden, notFound("room").Message)
	}
	return rm, nil
}

// authorize signs for members of rooms.
func (c *chat) authorize(r *http.Request, req pusher.AuthRequest) (*broker.Member, error) {
	l, ok := c.login(r)
	if !ok {
		return nil, broker.Refuse(signedOut.status, signedOut.Message)
	}
	if _, err := c.roomOfChannel(r.Context(), l.user, req.Channel); err != nil {
		return nil, err
	}
	info, err := json.Marshal(l.user)
	if err != nil {
		return nil, err
	}
	return &broker.Member{UserID: userID(l.user.ID), Info: info}, nil
}

// authenticate signs users in on their connections.
func (c *chat) authenticate(r *http.Request) (*broker.User, error) {
	l, ok := c.login(r)
	if !ok {
		return nil, broker.Refuse(signedOut.status, signedOut.Message)
	}
	info, err := json.Marshal(l.user)
	if err != nil {
		return nil, err
	}
	return &broker.User{ID: userID(l.user.ID), Info: info}, nil
}

// userID is a user's ID as the broker has it.
func userID(id int64) string { return strconv.FormatInt(id, 10) }

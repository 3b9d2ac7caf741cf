package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/storage"
)

// change is a transaction whose rows and events are there together, or not at all.
type change struct {
	*sql.Tx
	ctx  context.Context
	chat *chat
	// socket is the connection that asked for it.
	socket string
	events []storage.Prepared
	after  []func(context.Context)
	undo   []func()
}

// change runs f in a transaction, and appends the events that f publishes to it: they
// go out when it is committed. One runs at a time, since SQLite has one writer, and
// here writers wait in turn.
func (c *chat) change(ctx context.Context, socket string, f func(*change) error) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	ch := &change{chat: c, socket: socket}
	err := c.store.InTx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		ch.Tx, ch.ctx = tx, ctx
		if err := ch.stillSignedIn(ctx); err != nil {
			return err
		}
		if err := f(ch); err != nil {
			return err
		}
		_, err := c.store.AppendTx(ctx, tx, ch.events...)
		return err
	})
	if err != nil {
		for _, f := range ch.undo {
			f()
		}
		return err
	}
	for _, f := range ch.after {
		f(context.WithoutCancel(ctx))
	}
	return nil
}

// publish publishes an event with the transaction. Hooks may refuse it, and with it
// all of the change.
func (ch *change) publish(channel, event string, data any, opts ...broker.PublishOption) error {
	text, err := json.Marshal(data)
	if err != nil {
		return err
	}
	return ch.prepared(ch.chat.events.Prepare(ch.ctx, channel, event, text, opts...))
}

// prepared takes what was prepared into the transaction.
func (ch *change) prepared(p storage.Prepared, err error) error {
	if err == nil {
		ch.events = append(ch.events, p)
	}
	return err
}

// publishToOthers leaves out the connection that asked, whose answer says the same.
func (ch *change) publishToOthers(channel, event string, data any, opts ...broker.PublishOption) error {
	return ch.publish(channel, event, data, append(opts, broker.Exclude(ch.socket))...)
}

// otherwise calls f if the transaction is not committed, and before another one gets the IDs
// that this one had.
func (ch *change) otherwise(f func()) { ch.undo = append(ch.undo, f) }

// then calls f when the transaction is committed.
func (ch *change) then(f func(context.Context)) { ch.after = append(ch.after, f) }

// tell sends an event that is not kept to a user's connections.
func (c *chat) tell(ctx context.Context, id int64, exclude, event string, data any) {
	text, err := json.Marshal(data)
	if err == nil {
		_, err = c.events.PublishToUser(ctx, userID(id), event, text, broker.Exclude(exclude))
	}
	if err != nil && !errors.Is(err, broker.ErrShutdown) {
		c.log.Error("user was not told", "user", id, "event", event, "error", err)
	}
}

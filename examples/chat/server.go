package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/pusher"
	"github.com/carillon-rt/carillon/storage/sqlite"
)

// chat is the application with its broker.
type chat struct {
	config config
	keys   keys
	log    *slog.Logger
	store  *sqlite.Store
	db     *sql.DB // the store's file

	broker   *broker.Broker
	realtime *pusher.Handler
	app      *pusher.App
	events   *broker.App

	limits      limits
	connections connections
	status      status
	seats       seats
	files       fileStore
	push        *pushes

	// endDemo ends the talk of a demo; nil without one.
	endDemo func()

	// writing orders what is written, so that events go out in the order of rows.
	writing sync.Mutex
}

const (
	appKey = "chat-key"
	// leaveGrace is how long somebody who has gone may take to come back unnoticed,
	// as with a reload.
	leaveGrace = 5 * time.Second
)

func newChat(ctx context.Context, cfg config) (_ *chat, err error) {
	c := &chat{config: cfg, log: slog.Default(), limits: newLimits(cfg)}
	c.status.init(c)
	// Who is connected reads public channels, even one who has not signed in as a user there.
	c.seats.online = func(id int64) bool { return c.status.online(id) || c.connections.has(id) }
	if c.keys, err = loadKeys(cfg.data); err != nil {
		return nil, err
	}
	if c.files, err = openFiles(cfg.data); err != nil {
		return nil, err
	}
	if c.store, err = openStore(ctx, cfg.database); err != nil {
		return nil, errors.Join(err, c.files.root.Close())
	}
	c.db = c.store.DB()
	if err := c.openBroker(); err != nil {
		return nil, errors.Join(err, c.store.Close(), c.files.root.Close())
	}
	c.push = newPushes(c)
	if err := c.prepare(ctx); err != nil {
		return nil, errors.Join(err, c.shutdown(context.WithoutCancel(ctx)))
	}
	return c, nil
}

func (c *chat) openBroker() error {
	kept := broker.Retention{Events: 2000, Age: 7 * 24 * time.Hour}
	b, err := broker.New(
		broker.WithChannelRules(
			// What is said in rooms is kept for those who were away for a while.
			broker.ChannelRule{Pattern: "room-*", History: kept, Publishers: broker.OnlyServer},
			broker.ChannelRule{Pattern: "private-room-*", History: kept, Publishers: broker.OnlyServer},
			// Here clients tell each other that they type.
			broker.ChannelRule{Pattern: "presence-room-*", LeaveGrace: leaveGrace},
		),
		broker.WithHistory(c.store),
		broker.WithAmendmentNames(broker.AmendmentNames{Edited: "message-edited", Retracted: "message-retracted", Appended: "message-appended"}),
		broker.WithHooks(c.hooks()),
	)
	if err != nil {
		return err
	}
	c.app = &pusher.App{
		ID: "1", Key: appKey, Secret: c.keys.app,
		Limits: pusher.Limits{EventBytes: 256 << 10, RequestBytes: 512 << 10, PresenceMembers: maxCapacity},
	}
	var options []pusher.Option
	if c.config.url != "" {
		// Pages of this address may connect, whatever the proxy makes of it.
		c.app.AllowedOrigins = []string{c.config.url}
		options = append(options, pusher.WithTrustedProxies(proxies...))
	}
	apps, err := pusher.NewApps(*c.app)
	if err != nil {
		return err
	}
	c.broker, c.events = b, b.App(c.app.ID)
	c.realtime, err = pusher.NewHandler(b, apps, options...)
	return err
}

// prepare makes what a first start needs.
func (c *chat) prepare(ctx context.Context) error {
	if err := c.firstRooms(ctx); err != nil {
		return fmt.Errorf("first rooms: %w", err)
	}
	if err := c.sweepFiles(ctx); err != nil {
		return fmt.Errorf("files: %w", err)
	}
	if !c.config.demo {
		return nil
	}
	d, err := c.startDemo(ctx)
	if err != nil {
		return err
	}
	talking, stop := context.WithCancel(context.WithoutCancel(ctx))
	var wait sync.WaitGroup
	wait.Go(func() { d.talk(talking) })
	c.endDemo = func() { stop(); wait.Wait() }
	return nil
}

// shutdown ends the servers, the broker, and then what they write to.
func (c *chat) shutdown(ctx context.Context, servers ...*http.Server) error {
	if c.endDemo != nil {
		c.endDemo()
	}
	err := c.realtime.Shutdown(ctx, servers...)
	err = errors.Join(err, c.status.close(ctx))
	c.push.close()
	return errors.Join(err, c.store.Close(), c.files.root.Close())
}

package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"

	"github.com/cloudflare/tableflip"

	"github.com/carillon-rt/carillon/cmd/carillon/internal/config"
)

// Run is the command run: it serves until ctx ends or another process has taken over.
// Signals of its own are SIGHUP, which reads the configuration again, and SIGUSR2, which
// starts a new process of the same name that takes over; neither exists on Windows.
//
// It writes the help to out, if that is asked for, and the log to diagnostics. A
// configuration that is wrong is an error that wraps ErrConfig.
func Run(ctx context.Context, args []string, env func(string) string, out, diagnostics io.Writer) error {
	// Before anything else: by default either signal ends a process.
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, append(reloadSignals(), upgradeSignals()...)...)
	defer signal.Stop(signals)
	read := func() (*config.Config, error) { return config.Read(args, env, out) }
	c, err := read()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	var level slog.LevelVar
	log := logger(c, diagnostics, &level)
	upgrader, err := tableflip.New(tableflip.Options{})
	if err != nil {
		log.Debug("no process can take over from this one", "error", err)
		upgrader = nil
	}
	return serve(ctx, c, log, &level, process{sockets: sockets{upgrader: upgrader, env: env}, signals: signals, read: read})
}

// ErrConfig says that flags, environment or file are wrong.
var ErrConfig = errors.New("configuration")

// process is what a server needs of the process that it runs in.
type process struct {
	sockets sockets
	signals <-chan os.Signal
	// read reads the configuration again.
	read func() (*config.Config, error)
	// started, if it is there, is called when clients are served.
	started func(*server)
}

// serve serves until ctx ends or another process has taken over.
func serve(ctx context.Context, c *config.Config, log *slog.Logger, level *slog.LevelVar, p process) error {
	defer p.sockets.release()
	if err := p.sockets.findGiven(); err != nil {
		return err
	}
	s, err := open(c, log, level)
	if err != nil {
		return err
	}
	if err := s.listen(&p.sockets); err != nil {
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.ShutdownTimeout)
		defer cancel()
		return errors.Join(err, s.handler.Shutdown(ending), s.closeStore())
	}
	s.warn(c)
	s.start()
	s.warnOfGiven(c, &p.sockets)
	err = p.sockets.ready()
	if p.started != nil {
		p.started(s)
	}
	if err == nil {
		err = s.until(ctx, &p)
	}
	log.Info("shutting down")
	select {
	case <-p.sockets.replaced():
	default:
		notify(p.sockets.env, "STOPPING=1")
		p.sockets.release()
	}
	if err := errors.Join(err, s.end(ctx)); err != nil {
		return err
	}
	log.Info("ended", "stats", s.broker.Stats(), "handler", s.handler.Stats())
	return nil
}

// until returns when the server is to end.
func (s *server) until(ctx context.Context, p *process) error {
	upgraded := make(chan error, 1)
	upgrading := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.sockets.replaced():
			return nil
		case err := <-s.served:
			return err
		case err := <-upgraded:
			upgrading = false
			if err != nil {
				s.intake.closing.Store(false)
				s.log.Error("no process has taken over: this one goes on", "error", err)
				continue
			}
			s.log.Info("another process has taken over")
			return nil
		case received := <-p.signals:
			if isUpgrade(received) {
				if upgrading {
					s.log.Warn("a process that takes over is being started already")
				} else {
					upgrading = s.upgrade(ctx, p, upgraded)
				}
				continue
			}
			notify(p.sockets.env, reloading())
			s.reload(ctx, p.read)
			notify(p.sockets.env, "READY=1")
		}
	}
}

// upgrade starts a process that takes over once it serves, and reports whether it has
// begun to: done, which has room for it, is told of the outcome.
func (s *server) upgrade(ctx context.Context, p *process, done chan<- error) bool {
	if p.sockets.upgrader == nil {
		s.log.Error("no process can take over from this one")
		return false
	}
	s.log.Info("starting a process that takes over")
	// Backends connect anew for each request from now on, so that none is about to use a
	// connection when this process closes it.
	s.intake.closing.Store(true)
	go func() {
		// The process before this one may still be ending.
		waiting, cancel := context.WithTimeout(ctx, s.config.ShutdownTimeout)
		defer cancel()
		err := p.sockets.upgrader.WaitForParent(waiting)
		if err == nil {
			err = p.sockets.upgrader.Upgrade()
		}
		done <- err
	}()
	return true
}

// warn logs what may not be meant.
func (s *server) warn(c *config.Config) {
	for _, w := range c.Warnings {
		s.log.Warn("configuration: "+w.String(), "file", c.File)
	}
}

// warnOfGiven logs which addresses of the configuration count for nothing, as systemd has
// others: those may be open to more than was meant.
func (s *server) warnOfGiven(c *config.Config, from *sockets) {
	for i := range from.given {
		given := &from.given[i]
		key, set, wanted := "listen", c.IsSet(&c.Listen), strings.Join(c.Listen, ", ")
		if given.name == adminName {
			key, set, wanted = "admin", c.Admin != "", c.Admin
		}
		if set {
			s.log.Warn("an address counts for nothing: systemd gives the socket", "setting", key, "address", wanted, "socket", given.Addr().String())
		}
	}
}

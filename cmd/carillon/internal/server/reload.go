package server

import (
	"context"
	"errors"
	"reflect"
	"slices"

	"github.com/carillon-rt/carillon/cmd/carillon/internal/config"
	"github.com/carillon-rt/carillon/pusher"
)

// reload takes over what has changed in the configuration, as far as that is possible
// while it runs. One with mistakes changes nothing.
func (s *server) reload(ctx context.Context, read func() (*config.Config, error)) {
	c, err := read()
	var mistakes config.Mistakes
	switch {
	case errors.As(err, &mistakes):
		for _, m := range mistakes {
			s.log.Error("configuration not read again, the old one stays: "+m.String(), "line", m.Line)
		}
		return
	case err != nil:
		s.log.Error("configuration not read again, the old one stays", "error", err)
		return
	}
	if c.NamesNoApp && !s.current.NamesNoApp {
		s.log.Error("configuration not read again, the old one stays: it names no app", "file", c.File)
		return
	}
	if err := s.apps.set(c.PusherApps); err != nil {
		s.log.Error("configuration not read again, the old one stays", "error", err)
		return
	}
	s.warn(c)
	setLevel(c, s.level)
	if s.certificate != nil {
		s.certificate.reload()
	}
	if s.admin != nil {
		if err := s.admin.console.SetApps(s.named(c.Apps)...); err != nil {
			s.log.Error("the console keeps the apps that it knows", "error", err)
		}
	}
	closed, err := s.handler.Recheck(ctx)
	if err != nil {
		s.log.Error("connections of apps that are gone may be left", "error", err)
	}
	added, changed, removed := difference(s.current.PusherApps, c.PusherApps)
	s.log.Info("configuration read again", "apps_added", added, "apps_changed", changed, "apps_removed", removed, "connections_closed", closed)
	if kept := config.NeedRestart(s.current, c); len(kept) > 0 {
		s.log.Warn("changes that need a restart, which SIGUSR2 makes", "settings", kept)
	}
	// What was not taken over is compared again next time.
	s.current = s.current.With(c)
}

// difference names apps by their IDs.
func difference(old, now []pusher.App) (added, changed, removed []string) {
	find := func(all []pusher.App, id string) *pusher.App {
		if i := slices.IndexFunc(all, func(a pusher.App) bool { return a.ID == id }); i >= 0 {
			return &all[i]
		}
		return nil
	}
	for i := range now {
		if before := find(old, now[i].ID); before == nil {
			added = append(added, now[i].ID)
		} else if !reflect.DeepEqual(before, &now[i]) {
			changed = append(changed, now[i].ID)
		}
	}
	for i := range old {
		if find(now, old[i].ID) == nil {
			removed = append(removed, old[i].ID)
		}
	}
	return added, changed, removed
}

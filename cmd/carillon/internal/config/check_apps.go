package config

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/pusher"
)

// minSecret is from how many characters on a secret is not warned of.
const minSecret = 16

func (k *checker) apps() {
	ids, keys, secrets := make(map[string]*string), make(map[string]*string), make(map[string]*string)
	for i := range k.c.Apps {
		a := &k.c.Apps[i]
		made := k.app(a)
		for _, once := range []struct {
			seen  map[string]*string
			field *string
		}{{ids, &a.ID}, {keys, &a.Key}} {
			if other := once.seen[*once.field]; other != nil && *once.field != "" {
				k.wrong(once.field, "%q is that of another app too, on %s", *once.field, k.at(other))
			}
			once.seen[*once.field] = once.field
		}
		if other := secrets[a.Secret]; other != nil && a.Secret != "" {
			k.warn(&a.Secret, "is the secret of another app too, on %s", k.at(other))
		}
		secrets[a.Secret] = &a.Secret
		k.c.PusherApps = append(k.c.PusherApps, made)
	}
	if len(k.c.Apps) == 0 && !k.broken {
		k.warnings = append(k.warnings, Problem{Text: "there is no app under [[apps]]: PUSHER_APP_ID, PUSHER_APP_KEY and PUSHER_APP_SECRET have to say one"})
	}
}

// valid is an app with nothing wrong, to try one field of another in.
func valid() pusher.App { return pusher.App{ID: "1", Key: "key", Secret: "secret"} }

// try has the library check an app in which one field was changed.
func (k *checker) try(field any, change func(*pusher.App)) bool {
	a := valid()
	change(&a)
	err := a.Check()
	if err != nil {
		k.wrong(field, "%s", problemOf(err))
	}
	return err == nil
}

func (k *checker) app(a *App) pusher.App {
	for _, f := range []struct {
		field *string
		what  string
	}{{&a.ID, "id"}, {&a.Key, "key"}, {&a.Secret, "secret"}} {
		if *f.field == "" && !k.set(f.field) && !k.broken {
			k.wrong(a, "%s is missing", f.what)
		} else if *f.field == "" && k.set(f.field) {
			k.wrong(f.field, "is empty")
		}
	}
	if a.ID != "" && k.try(&a.ID, func(p *pusher.App) { p.ID = a.ID }) {
		k.warnOfID(a)
	}
	if a.Key != "" {
		k.try(&a.Key, func(p *pusher.App) { p.Key = a.Key })
	}
	k.secrets(a)
	made := pusher.App{
		ID: a.ID, Key: a.Key, Secret: a.Secret, OtherSecrets: a.OtherSecrets, Disabled: !a.Enabled, RequireTLS: a.RequireTLS,
		MaxConnections: a.MaxConnections, AllowedOrigins: a.Origins, Hosts: a.Hosts, AuthorizationTimeout: a.AuthTimeout,
		DisableClientEvents: !a.ClientEvents, SubscriptionCounts: a.Counts, Limits: k.appLimits(&a.Limits),
	}
	if a.MaxConnections < 0 {
		k.wrong(&a.MaxConnections, "%d is negative", a.MaxConnections)
	}
	if a.AuthTimeout < 0 {
		k.wrong(&a.AuthTimeout, "%v is negative", a.AuthTimeout)
	}
	k.origins(a)
	if a.MasterKey != "" {
		key, err := base64.StdEncoding.DecodeString(a.MasterKey)
		if err != nil {
			k.wrong(&a.MasterKey, "is not base64")
		} else if k.try(&a.MasterKey, func(p *pusher.App) { p.EncryptionMasterKey = key }) {
			made.EncryptionMasterKey = key
		}
	}
	for i := range a.Webhooks {
		made.Webhooks = append(made.Webhooks, k.webhook(a, &a.Webhooks[i]))
	}
	return made
}

func (k *checker) warnOfID(a *App) {
	if _, err := strconv.ParseUint(a.ID, 10, 64); err != nil || a.ID == "0" {
		k.warn(&a.ID, "%q is not a number: it is served, but pusher-http-go and others that take the app out of a URL find no app in it", a.ID)
	}
}

// secrets says nothing of what is in them.
func (k *checker) secrets(a *App) {
	switch {
	case a.Secret == "":
	case a.Secret == defaultSecret:
		k.warn(&a.Secret, "is app-secret, which EVERYBODY KNOWS: carillon apps new makes others")
	case len(a.Secret) < minSecret:
		k.warn(&a.Secret, "has less than %d characters, and can be guessed: carillon apps new makes others", minSecret)
	case a.Secret == a.Key:
		k.warn(&a.Secret, "is the key, which every page shows")
	}
	for i := range a.OtherSecrets {
		switch other := &a.OtherSecrets[i]; {
		case *other == "":
			k.wrong(other, "is empty")
		case *other == a.Secret:
			k.wrong(other, "is the secret itself: leave it out")
		case len(*other) < minSecret:
			k.warn(other, "has less than %d characters, and can be guessed", minSecret)
		}
	}
}

func (k *checker) origins(a *App) {
	for i := range a.Origins {
		k.try(&a.Origins[i], func(p *pusher.App) { p.AllowedOrigins = []string{a.Origins[i]} })
		if a.Origins[i] == "*" {
			k.warn(&a.Origins[i], "pages of everybody may connect")
		}
	}
	for i := range a.Hosts {
		k.try(&a.Hosts[i], func(p *pusher.App) { p.Hosts = []string{a.Hosts[i]} })
	}
	if o := k.notes.origins[a]; !k.set(&a.Origins) && len(a.Hosts) == 0 && o.line > 0 {
		k.warn(a, "has neither origins nor hosts: only pages of this machine may connect")
	}
}

// appLimits passes on what was written: for the rest, the library has its defaults.
func (k *checker) appLimits(l *AppLimits) (made pusher.Limits) {
	for _, f := range []struct {
		field *int
		to    *int
		open  bool // negative sets no bound
	}{
		{&l.EventBytes, &made.EventBytes, false}, {&l.EventNameChars, &made.EventNameChars, false}, {&l.ChannelsPerEvent, &made.ChannelsPerEvent, false},
		{&l.EventsPerBatch, &made.EventsPerBatch, false}, {&l.PresenceMembers, &made.PresenceMembers, false}, {&l.UserInfoBytes, &made.UserInfoBytes, false},
		{&l.Watchlist, &made.Watchlist, false}, {&l.ClientEventsPerSecond, &made.ClientEventsPerSecond, true}, {&l.RequestBytes, &made.RequestBytes, false},
		{&l.ChannelsPerConnection, &made.ChannelsPerConnection, true}, {&l.AuthorizedChannelsPerConnection, &made.AuthorizedChannelsPerConnection, true},
		{&l.SubscribesPerSecond, &made.SubscribesPerSecond, true}, {&l.MessagesPerSecond, &made.MessagesPerSecond, true},
		{&l.PastBytesPerSecond, &made.PastBytesPerSecond, true}, {&l.UnreadAnswerBytes, &made.UnreadAnswerBytes, true},
	} {
		switch {
		case !k.set(f.field):
			continue
		case *f.field == 0 && f.open:
			k.wrong(f.field, "0 would let nothing pass: leave it out for the default, or write -1 for no bound")
		case *f.field < 1 && !f.open:
			k.wrong(f.field, "%d is less than 1", *f.field)
		default:
			*f.to = *f.field
		}
	}
	if l.EventBytes > broker.DefaultMaxEventBytes {
		k.wrong(&l.EventBytes, "%d is more than %d", l.EventBytes, broker.DefaultMaxEventBytes)
		made.EventBytes = 0
	}
	// In JSON within JSON the data takes up to twice its size.
	room := max(pusher.DefaultLimits.RequestBytes, room(made.EventBytes))
	if made.RequestBytes == 0 {
		made.RequestBytes = room
	}
	k.tryLimits(l, made)
	return made
}

// tryLimits has the library check the limits, and finds the one that it means.
func (k *checker) tryLimits(l *AppLimits, made pusher.Limits) {
	a := valid()
	a.Limits = made
	var wrong *broker.FieldError
	if !errors.As(a.Check(), &wrong) {
		return
	}
	field := map[string]*int{"EventNameChars": &l.EventNameChars, "EventBytes": &l.EventBytes, "ChannelsPerConnection": &l.ChannelsPerConnection}[strings.TrimPrefix(wrong.Field, "Limits.")]
	if wrong.Field == "Limits.ChannelsPerConnection" && !k.set(field) {
		field = &l.AuthorizedChannelsPerConnection
	}
	if wrong.Field == "Limits.EventBytes" && !k.set(field) {
		field = &l.RequestBytes
	}
	text := strings.NewReplacer("AuthorizedChannelsPerConnection", "authorized_channels_per_connection", "RequestBytes", "request_bytes").Replace(problemOf(wrong))
	if field == nil {
		k.mistakes = append(k.mistakes, Problem{Where: "apps.limits", Text: wrong.Error()})
		return
	}
	k.wrong(field, "%s", text)
}

func (k *checker) webhook(a *App, w *Webhook) pusher.Webhook {
	u, err := url.Parse(w.URL)
	switch {
	case w.URL == "" && !k.set(&w.URL):
		if !k.broken {
			k.wrong(w, "url is missing")
		}
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		k.wrong(&w.URL, "is not an http or https URL%s", shown(u))
	case u.Scheme == "http" && !private(u.Hostname()):
		k.warn(&w.URL, "sends what it tells through the open network: use https for %s", u.Hostname())
	}
	for i := range w.Events {
		if !slices.Contains(pusher.WebhookEvents(), w.Events[i]) {
			k.wrong(&w.Events[i], "%q is none of %s%s", w.Events[i], strings.Join(pusher.WebhookEvents(), ", "), didYouMean(w.Events[i], pusher.WebhookEvents()))
		}
		if w.Events[i] == pusher.WebhookClientEvent && !a.ClientEvents {
			k.warn(&w.Events[i], "never happens: client_events is false")
		}
		if w.Events[i] == pusher.WebhookSubscriptionCount && !a.Counts {
			k.warn(&w.Events[i], "never happens: subscription_counts is false")
		}
	}
	k.try(&w.ChannelPrefix, func(p *pusher.App) {
		p.Webhooks = []pusher.Webhook{{URL: "http://localhost", ChannelPrefix: w.ChannelPrefix}}
	})
	k.try(&w.Headers, func(p *pusher.App) {
		p.Webhooks = []pusher.Webhook{{URL: "http://localhost", Headers: w.Headers}}
	})
	return pusher.Webhook{URL: w.URL, Events: w.Events, ChannelPrefix: w.ChannelPrefix, Batch: w.Batch, Headers: w.Headers}
}

// shown is a URL without what may be secret in it, which without a scheme is all of it.
func shown(u *url.URL) string {
	if u == nil || u.Host == "" {
		return ", such as https://example.com/hooks"
	}
	return fmt.Sprintf(": %q", u.Scheme+"://"+u.Host)
}

// private reports whether a host is of this machine or a network of one's own.
func private(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast()
	}
	// Names without a dot, and those of Docker, Kubernetes and home networks.
	if !strings.Contains(host, ".") || net.ParseIP(host) != nil {
		return true
	}
	return slices.ContainsFunc([]string{".local", ".localhost", ".internal", ".lan", ".test", ".svc"}, func(end string) bool { return strings.HasSuffix(host, end) })
}

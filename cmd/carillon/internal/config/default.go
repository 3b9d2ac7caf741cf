package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/pusher"
	"github.com/carillon-rt/carillon/storage/sqlite"
	"github.com/carillon-rt/carillon/transport"
	"github.com/carillon-rt/carillon/transport/sse"
	"github.com/carillon-rt/carillon/transport/websocket"
	"github.com/carillon-rt/carillon/transport/xhr"
)

// Default returns what holds where nobody says otherwise. What is zero in it is worked
// out from other settings, or has no bound.
func Default() Settings {
	names := broker.DefaultAmendmentNames
	return Settings{
		Listen:          []string{"127.0.0.1:6001"},
		UnixMode:        "0660",
		Storage:         "memory",
		StorageTimeout:  broker.DefaultStoreTimeout,
		Node:            "node",
		ActivityTimeout: pusher.DefaultActivityTimeout,
		ShutdownTimeout: 20 * time.Second,
		AmendmentNames:  Amendments{names.Edited, names.Retracted, names.Appended},
		Log:             Log{Level: "info", Format: "text"},
		SQLite: SQLite{
			BusyTimeout: sqlite.DefaultBusyTimeout, Readers: sqlite.DefaultReaders,
			QueueEvents: sqlite.DefaultQueueEvents, QueueBytes: sqlite.DefaultQueueBytes,
			ForgetAfter: sqlite.DefaultForgetAfter, LastSeenLimit: sqlite.DefaultLastSeenLimit,
		},
		Limits: Limits{
			Connections: websocket.DefaultMaxConnections, FallbackSessions: xhr.DefaultMaxSessions, Feeds: sse.DefaultMaxConnections,
			ConnectionsPerAddress: pusher.DefaultMaxPerAddress,
			QueueMessages:         transport.DefaultQueueMessages, QueueBytes: transport.DefaultQueueBytes,
		},
	}
}

func defaultApp() App {
	d := pusher.DefaultLimits
	return App{Enabled: true, ClientEvents: true, Origins: LocalOrigins(), Limits: AppLimits{
		EventBytes: d.EventBytes, EventNameChars: d.EventNameChars, ChannelsPerEvent: d.ChannelsPerEvent, EventsPerBatch: d.EventsPerBatch,
		PresenceMembers: d.PresenceMembers, UserInfoBytes: d.UserInfoBytes, Watchlist: d.Watchlist, ClientEventsPerSecond: d.ClientEventsPerSecond,
		ChannelsPerConnection: d.ChannelsPerConnection, AuthorizedChannelsPerConnection: d.AuthorizedChannelsPerConnection,
		SubscribesPerSecond: d.SubscribesPerSecond, PastBytesPerSecond: d.PastBytesPerSecond, UnreadAnswerBytes: d.UnreadAnswerBytes,
	}}
}

func defaultChannel() Channel {
	return Channel{ClientHistory: true, Readers: "all", Publishers: "all", CacheTTL: broker.DefaultCacheTTL}
}

// decode reads the text of a file.
func (c *Config) decode(text []byte, n *notes, env func(string) string) *document {
	doc := parse(text, n)
	d := &decoder{notes: n, doc: doc, env: env}
	d.table("", doc.values, reflect.ValueOf(&c.Settings).Elem())
	return doc
}

// warnOfLaravel explains variables that are for the clients of this server, where they
// stand beside those that are for it as well.
func (c *Config) warnOfLaravel(n *notes, env func(string) string) {
	cluster, scheme := env("PUSHER_APP_CLUSTER"), env("PUSHER_SCHEME")
	if env("PUSHER_APP_ID") == "" {
		return
	}
	if env("PUSHER_HOST") == "" && cluster+scheme+env("PUSHER_PORT") != "" {
		if cluster == "" {
			cluster = "mt1"
		}
		n.warnings = append(n.warnings, Problem{Where: "PUSHER_HOST", Text: fmt.Sprintf("is empty: a Laravel program then sends its events to api-%s.pusher.com. "+
			"Set it there, to the name under which this server is reached; PUSHER_PORT and PUSHER_SCHEME go with it, and say nothing to this server, which listens on %s", cluster, strings.Join(c.Listen, ", "))})
	}
	if scheme == "https" && c.TLS.Cert == "" && len(c.TrustedProxies) == 0 {
		n.warnings = append(n.warnings, Problem{Where: "PUSHER_SCHEME", Text: "is https, and this server has no certificate: give -tls-cert and -tls-key, " +
			"or put a proxy before it and name that in -trusted-proxies"})
	}
}

// The app of a server that is told of none.
const (
	defaultID     = "1"
	defaultKey    = "app-key"
	defaultSecret = "app-secret"
)

// overrideBy sets what the command line and the environment say.
func (c *Config) overrideBy(line *commandLine, n *notes, env func(string) string) {
	all := defaultApp()
	n.override(&c.Settings, &all, line, env)
	if line.debug {
		c.Log.Level = "debug"
		n.origins[&c.Log.Level] = origin{where: "-debug"}
	}
	c.addApp(n, env)
	c.warnOfLaravel(n, env)
	hooks := line.hooks(n)
	rules := line.rules(n)
	for i := range c.Apps {
		app := &c.Apps[i]
		n.overrideApp(reflect.ValueOf(app).Elem(), reflect.ValueOf(&all).Elem())
		if hooks != nil {
			app.Webhooks = hooks
		}
	}
	// Rules of the command line go before those of the file, but for what a grace for all
	// of them says, which is last.
	c.Channels = n.moved(append(rules, c.Channels...), rules, c.Channels)
	if line.leaveGrace != 0 {
		last := defaultChannel()
		last.Pattern, last.LeaveGrace = "*", line.leaveGrace
		grown := append(c.Channels[:len(c.Channels):len(c.Channels)], last)
		c.Channels = n.moved(grown, c.Channels)
		n.origins[&grown[len(grown)-1].LeaveGrace] = origin{where: "-leave-grace"}
	}
}

// moved makes what is known of the rules in several lists known of their copies in one.
func (n *notes) moved(to []Channel, from ...[]Channel) []Channel {
	i := 0
	for _, rules := range from {
		for j := range rules {
			n.copyOrigins(reflect.ValueOf(&to[i]).Elem(), reflect.ValueOf(&rules[j]).Elem())
			i++
		}
	}
	return to
}

// copyOrigins notes of the fields of a struct what is known of those of another.
func (n *notes) copyOrigins(to, from reflect.Value) {
	if o, ok := n.origins[from.Addr().Interface()]; ok {
		n.origins[to.Addr().Interface()] = o
	}
	for i := range from.NumField() {
		if from.Field(i).Kind() == reflect.Struct {
			n.copyOrigins(to.Field(i), from.Field(i))
		} else if o, ok := n.origins[from.Field(i).Addr().Interface()]; ok {
			n.origins[to.Field(i).Addr().Interface()] = o
		}
	}
}

// overrideApp sets what was set on an app that stands for all.
func (n *notes) overrideApp(to, from reflect.Value) {
	for i := range from.NumField() {
		if from.Field(i).Kind() == reflect.Struct {
			n.overrideApp(to.Field(i), from.Field(i))
			continue
		}
		if o, ok := n.origins[from.Field(i).Addr().Interface()]; ok {
			to.Field(i).Set(from.Field(i))
			n.origins[to.Field(i).Addr().Interface()] = o
		}
	}
}

// addApp adds the app of the environment, or changes the one of the file that has its
// ID. Without either there is one that everybody knows.
func (c *Config) addApp(n *notes, env func(string) string) {
	id, key, secret := env("PUSHER_APP_ID"), env("PUSHER_APP_KEY"), env("PUSHER_APP_SECRET")
	none := id == "" && key == "" && secret == ""
	if none && len(c.Apps) > 0 {
		return
	}
	c.NamesNoApp = none
	if id == "" {
		id = defaultID
	}
	at := -1
	for i := range c.Apps {
		if c.Apps[i].ID == id {
			at = i
		}
	}
	if at < 0 && !none && secret == "" {
		// Whoever names an app does not mean the secret that everybody knows.
		n.mistakes = append(n.mistakes, Problem{Where: "PUSHER_APP_SECRET", Text: "is missing, or empty: the app that PUSHER_APP_ID and PUSHER_APP_KEY name needs one"})
	}
	if at < 0 {
		apps := append(c.Apps[:len(c.Apps):len(c.Apps)], defaultApp())
		for i := range c.Apps {
			n.copyOrigins(reflect.ValueOf(&apps[i]).Elem(), reflect.ValueOf(&c.Apps[i]).Elem())
		}
		c.Apps, at = apps, len(apps)-1
		c.Apps[at].ID, c.Apps[at].Key, c.Apps[at].Secret = id, defaultKey, defaultSecret
		n.origins[&c.Apps[at].ID] = origin{where: "PUSHER_APP_ID"}
		n.origins[&c.Apps[at].Key] = origin{where: "PUSHER_APP_KEY"}
		n.origins[&c.Apps[at].Secret] = origin{where: "PUSHER_APP_SECRET"}
	}
	app := &c.Apps[at]
	for _, v := range []struct {
		to         *string
		text, name string
	}{{&app.Key, key, "PUSHER_APP_KEY"}, {&app.Secret, secret, "PUSHER_APP_SECRET"}} {
		if v.text != "" {
			*v.to = v.text
			n.origins[v.to] = origin{where: v.name}
		}
	}
}

// hooks are the webhooks of the command line, nil if it has none.
func (line *commandLine) hooks(n *notes) []Webhook {
	if len(line.webhooks) == 0 {
		if line.webhookEvents+line.webhookPrefix != "" || line.webhookBatch {
			n.mistakes = append(n.mistakes, Problem{Where: "-webhook-events, -webhook-channels and -webhook-batch", Text: "need -webhook"})
		}
		return nil
	}
	all := make([]Webhook, len(line.webhooks))
	for i, url := range line.webhooks {
		w := &all[i]
		*w = Webhook{URL: url, Events: list(line.webhookEvents), ChannelPrefix: line.webhookPrefix, Batch: line.webhookBatch}
		n.origins[&w.URL], n.origins[&w.ChannelPrefix] = origin{where: "-webhook"}, origin{where: "-webhook-channels"}
		for j := range w.Events {
			n.origins[&w.Events[j]] = origin{where: "-webhook-events"}
		}
	}
	return all
}

// rules are those of -history.
func (line *commandLine) rules(n *notes) []Channel {
	wrong := func(where, format string, args ...any) {
		n.mistakes = append(n.mistakes, Problem{Where: where, Text: fmt.Sprintf(format, args...)})
	}
	switch {
	case line.rewind < 0:
		wrong("-rewind", "%d is negative", line.rewind)
	case line.rewind > 0 && len(line.histories) == 0:
		wrong("-rewind", "%d needs -history: nothing is kept without", line.rewind)
	}
	all := make([]Channel, len(line.histories))
	for i, text := range line.histories {
		rule := &all[i]
		*rule = defaultChannel()
		pattern, keep, ok := strings.Cut(text, "=")
		if !ok {
			wrong("-history", "%q has no number of events after a =", text)
			continue
		}
		count, age, aged := strings.Cut(keep, ",")
		var err error
		if rule.History, err = strconv.Atoi(count); err != nil || rule.History < 1 {
			wrong("-history", "number of events: %q is not a number above 0", count)
			continue
		}
		if aged {
			if rule.HistoryAge, err = time.ParseDuration(age); err != nil || rule.HistoryAge <= 0 {
				wrong("-history", "age: %q is not a time above 0, such as 1h", age)
				continue
			}
		}
		rule.Pattern, rule.LeaveGrace = pattern, line.leaveGrace
		rule.Rewind = min(max(line.rewind, 0), rule.History)
		for _, field := range []any{&rule.Pattern, &rule.History, &rule.HistoryAge} {
			n.origins[field] = origin{where: "-history"}
		}
		n.origins[&rule.Rewind], n.origins[&rule.LeaveGrace] = origin{where: "-rewind"}, origin{where: "-leave-grace"}
	}
	return all
}

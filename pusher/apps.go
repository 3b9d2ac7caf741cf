package pusher

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/carillon-rt/carillon/broker"
)

// App holds the credentials of an app and what its clients may do. It must not
// be changed while it is in use.
type App struct {
	// ID names the app in the HTTP API. SDKs expect a number.
	ID string
	// Key is what clients connect with; it is no secret. Secret signs.
	Key, Secret string
	// OtherSecrets are accepted as well as Secret, which alone signs: of requests,
	// authorizations and tokens. To change the secret without a break, put the new one
	// here; then, once all backends have it, let the two change places; and take the old
	// one away when nothing is signed with it any more.
	OtherSecrets []string

	// Disabled refuses connections (4003) and requests (403).
	Disabled bool
	// RequireTLS refuses connections that are not encrypted (4000).
	RequireTLS bool
	// MaxConnections bounds the app's connections on this node (4004); 0 sets no
	// bound.
	MaxConnections int
	// AllowedOrigins says which pages may connect: patterns of origins, such as
	// "https://*.example.com" or "http://localhost:*", or "*" for all. A * stands for
	// any text, and at the end of a host without a port for any port as well. Case
	// does not matter, nor does a port that is the scheme's own; ws and wss are http
	// and https. "null" and "file://", which apps that load their pages from files
	// send, are allowed by name only. Clients that send no origin, which are no
	// browsers, are always allowed.
	//
	// Empty, it allows pages of the host they connect to, whatever that is called.
	// Somebody who makes a name of their own point to your server (DNS rebinding)
	// then has pages of that name connect, and so reach a server that only their
	// visitors can: list the origins, or set Hosts.
	AllowedOrigins []string
	// Hosts are the names under which clients reach the server, such as
	// "rt.example.com", with the port where it is not 80 or 443, and a * for any. Their
	// pages may connect as well as those of AllowedOrigins. Where AllowedOrigins is
	// empty, only their pages may, instead of pages of whatever host the client names.
	// Set it where AllowedOrigins is set and there are clients that give the server's
	// own address for their origin, as React Native does on Android, or that use
	// SockJS, which works out of an iframe of the server's own.
	Hosts []string
	// AuthorizationTimeout closes connections that have neither signed in nor
	// subscribed to a channel that needs authorization by then (4009); 0 never
	// does.
	AuthorizationTimeout time.Duration
	// AuthorizationLifetime is how long the authorizations of NewAuthHandler last; 0,
	// the default, is as long as the connection. At the end of the first one, up to a
	// tenth early and a quarter of a second late, the connection is closed with 4200:
	// clients connect again at once, and ask for all of their channels anew. Where the
	// rule has a LeaveGrace, members stay meanwhile. The end is part of channel_data,
	// which pusher-js passes on for private channels as well. Backends that sign by
	// themselves put the field auth_expires, in seconds since 1970, there.
	AuthorizationLifetime time.Duration

	// DisableClientEvents refuses events that clients send to each other.
	DisableClientEvents bool
	// SubscriptionCounts tells subscribers how many there are on their channel.
	SubscriptionCounts bool
	// EncryptionMasterKey is the key of encrypted channels, 32 bytes. Without it
	// clients can use them, if the backend seals and authorizes, but Go code in
	// this process cannot publish to them.
	EncryptionMasterKey []byte

	Webhooks []Webhook
	Limits   Limits
}

// Webhook is a URL to which the events of an app's channels are sent
// (https://pusher.com/docs/channels/server_api/webhooks/).
//
// It has 4 s to answer with a 2xx status. Otherwise the request is sent again after 1
// s, and then after twice as long each time, for 5 minutes; later events of its
// channels wait until then, so that a receiver never gets them in a wrong order. Events
// that wait are held in memory, up to 10 000 or 8 MiB of each kind for a URL: channels,
// members, client events, cache misses and counts. Beyond that, the present state of
// channels and members is sent when there is room again, and all else is dropped,
// logged and counted in WebhookStats. Changes of an app's webhooks take effect within
// 10 s. That a channel was vacated, or a member left, is sent 3 s later, and not at all
// if the channel is occupied or the member back by then.
type Webhook struct {
	// URL takes the POST requests.
	URL string
	// Events are the names of the events to send, the WebhookEvents; empty
	// means all.
	Events []string
	// ChannelPrefix restricts the events to channels whose name starts so.
	ChannelPrefix string
	// Batch collects events for up to 250 ms, or 20 of them, into one request;
	// without it, each has a request of its own.
	Batch bool
	// Headers are sent in addition to the protocol's own, X-Pusher-Key and
	// X-Pusher-Signature.
	Headers map[string]string
}

// The events of webhooks, as the protocol has them
// (https://pusher.com/docs/channels/server_api/webhooks/).
const (
	WebhookChannelOccupied   = "channel_occupied"
	WebhookChannelVacated    = "channel_vacated"
	WebhookMemberAdded       = "member_added"
	WebhookMemberRemoved     = "member_removed"
	WebhookClientEvent       = "client_event"
	WebhookCacheMiss         = "cache_miss"
	WebhookSubscriptionCount = "subscription_count"
)

// WebhookEvents lists the names of all events of webhooks.
func WebhookEvents() []string {
	return []string{WebhookChannelOccupied, WebhookChannelVacated, WebhookMemberAdded, WebhookMemberRemoved,
		WebhookClientEvent, WebhookCacheMiss, WebhookSubscriptionCount}
}

// Apps finds apps. Both methods return ErrUnknownApp, wrapped or not, for an app
// that does not exist; any other error is taken for a failure of the lookup.
// They are called for every connection and request, from many goroutines; one that
// panics, or takes longer than broker.WithStoreTimeout allows, has failed.
type Apps interface {
	AppByKey(ctx context.Context, key string) (*App, error)
	AppByID(ctx context.Context, id string) (*App, error)
}

// ErrUnknownApp says that there is no such app.
var ErrUnknownApp = errors.New("app does not exist")

// maxAppName bounds the ID and the key of an app, in bytes: what is longer is not
// looked up.
const maxAppName = 200

func (h *Handler) appByKey(ctx context.Context, key string) (*App, error) {
	if len(key) > maxAppName {
		return nil, ErrUnknownApp
	}
	return h.learn(h.apps.AppByKey(ctx, key))
}

func (h *Handler) appByID(ctx context.Context, id string) (*App, error) {
	if len(id) > maxAppName {
		return nil, ErrUnknownApp
	}
	return h.learn(h.apps.AppByID(ctx, id))
}

// learn tells the webhooks of an app that was found.
func (h *Handler) learn(app *App, err error) (*App, error) {
	if err == nil {
		h.webhooks.apps.learn(app)
	}
	return app, err
}

// limits returns an app's limits with the defaults, which are worked out once.
func (h *Handler) limits(app *App) *Limits { return h.webhooks.apps.learn(app).limits }

// StaticApps is a fixed list of apps.
type StaticApps struct {
	byKey, byID map[string]*App
}

// NewApps returns a list of apps. An app that is not valid, or whose ID or key
// another has too, is a *broker.FieldError.
func NewApps(apps ...App) (*StaticApps, error) {
	s := &StaticApps{byKey: make(map[string]*App, len(apps)), byID: make(map[string]*App, len(apps))}
	for i := range apps {
		app := apps[i]
		if err := app.check(fmt.Sprintf("apps[%d].", i)); err != nil {
			return nil, fmt.Errorf("pusher: %w", err)
		}
		if s.byID[app.ID] != nil || s.byKey[app.Key] != nil {
			return nil, fmt.Errorf("pusher: %w", &broker.FieldError{
				Field: fmt.Sprintf("apps[%d]", i), Value: app.ID, Problem: "has the ID or the key of another app"})
		}
		s.byID[app.ID], s.byKey[app.Key] = &app, &app
	}
	return s, nil
}

// AppByKey implements Apps.
func (s *StaticApps) AppByKey(_ context.Context, key string) (*App, error) {
	return found(s.byKey, key)
}

// AppByID implements Apps.
func (s *StaticApps) AppByID(_ context.Context, id string) (*App, error) { return found(s.byID, id) }

func found(apps map[string]*App, name string) (*App, error) {
	if app := apps[name]; app != nil {
		return app, nil
	}
	return nil, fmt.Errorf("%w: %q", ErrUnknownApp, name)
}

// Check returns a *broker.FieldError unless the app is valid. Implementations of
// Apps that let their users write apps call it; NewApps does.
func (a *App) Check() error { return a.check("") }

func (a *App) check(path string) error {
	invalid := func(field, value, problem string) error {
		return &broker.FieldError{Field: path + field, Value: value, Problem: problem}
	}
	for _, f := range []struct{ name, value string }{{"ID", a.ID}, {"Key", a.Key}, {"Secret", a.Secret}} {
		if f.value == "" {
			return invalid(f.name, "", "is empty")
		}
		if len(f.value) > maxAppName && f.name != "Secret" {
			return &broker.FieldError{Field: path + f.name, Problem: "is too long, in bytes", Limit: maxAppName, Got: len(f.value)}
		}
	}
	for i, secret := range a.OtherSecrets {
		if secret == "" || secret == a.Secret {
			return invalid(fmt.Sprintf("OtherSecrets[%d]", i), "", "is empty, or the secret itself")
		}
	}
	switch n := len(a.EncryptionMasterKey); {
	case !pathSafe(a.ID):
		return invalid("ID", a.ID, "has a character that a URL's path cannot hold")
	case !pathSafe(a.Key) || strings.Contains(a.Key, ":"):
		return invalid("Key", a.Key, "has a character that a URL's path, a header or a signature cannot hold")
	case n != 0 && n != masterKeyBytes:
		return &broker.FieldError{Field: path + "EncryptionMasterKey", Problem: "has not the 32 bytes it must have", Limit: masterKeyBytes, Got: n}
	case a.MaxConnections < 0:
		return invalid("MaxConnections", strconv.Itoa(a.MaxConnections), "is negative")
	case a.AuthorizationTimeout < 0:
		return invalid("AuthorizationTimeout", a.AuthorizationTimeout.String(), "is negative")
	case a.AuthorizationLifetime < 0 || a.AuthorizationLifetime > 0 && a.AuthorizationLifetime < 10*time.Second:
		return invalid("AuthorizationLifetime", a.AuthorizationLifetime.String(), "is less than 10 s")
	case a.Limits.EventNameChars > broker.MaxEventName:
		return &broker.FieldError{Field: path + "Limits.EventNameChars", Problem: "is too large", Limit: broker.MaxEventName, Got: a.Limits.EventNameChars}
	}
	for i, origin := range a.AllowedOrigins {
		if problem := checkOrigin(origin); problem != "" {
			return invalid(fmt.Sprintf("AllowedOrigins[%d]", i), origin, problem)
		}
	}
	for i, host := range a.Hosts {
		if problem := checkHost(host); problem != "" {
			return invalid(fmt.Sprintf("Hosts[%d]", i), host, problem)
		}
	}
	for i, hook := range a.Webhooks {
		u, err := url.Parse(hook.URL)
		if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			return invalid(fmt.Sprintf("Webhooks[%d].URL", i), hook.URL, "is not an http or https URL")
		}
		if p := hook.ChannelPrefix; p != "" && p[0] != '#' && broker.CheckChannelName(p) != nil {
			return invalid(fmt.Sprintf("Webhooks[%d].ChannelPrefix", i), p, "is not how a channel's name may begin")
		}
		for name, value := range hook.Headers {
			if !validHeader(name, value) {
				return invalid(fmt.Sprintf("Webhooks[%d].Headers", i), name, "is not a valid header")
			}
		}
		for _, event := range hook.Events {
			if !slices.Contains(WebhookEvents(), event) {
				return invalid(fmt.Sprintf("Webhooks[%d].Events", i), event, "is not one of "+strings.Join(WebhookEvents(), ", "))
			}
		}
	}
	return a.Limits.check(path)
}

// pathSafe reports whether clients, which do not encode it, can make s part of a
// path that is understood as it was meant.
func pathSafe(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsAny(s, "/?#%") && strings.IndexFunc(s, unicode.IsControl) < 0
}

// validHeader is stricter than RFC 9110 about values, which need no more.
func validHeader(name, value string) bool {
	token := func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", c))
	}
	control := func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }
	return name != "" && strings.IndexFunc(name, token) < 0 && strings.IndexFunc(value, control) < 0
}

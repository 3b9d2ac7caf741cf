package console

import (
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"

	"github.com/carillon-rt/carillon/broker"
)

// Option configures a console. One that is not valid makes New fail.
type Option func(*Console) error

// ErrNoAuthorization refuses a console of which nobody has said who may use it.
var ErrNoAuthorization = fmt.Errorf("%w: console needs WithToken, WithLoopbackOnly or WithAuthorization", broker.ErrInvalid)

// MinToken is the fewest bytes that a token may have.
const MinToken = 16

func (c *Console) authorizeBy(a authorizer) error {
	if c.auth != nil {
		return &broker.FieldError{Field: "authorization", Problem: "was given already"}
	}
	c.auth = a
	return nil
}

// WithToken lets in whoever knows the token, of at least MinToken bytes: the page asks for
// it, programs send it as "Authorization: Bearer". Wrong ones are refused for a while when
// there are many. Make a token with crypto/rand.Text.
func WithToken(token string) Option {
	return func(c *Console) error {
		if len(token) < MinToken {
			return &broker.FieldError{Field: "token", Problem: "is too short for a secret", Limit: MinToken, Got: len(token)}
		}
		return c.authorizeBy(newTokenAuthorizer(token))
	}
}

// WithLoopbackOnly lets in whoever is on this machine: the peer's address is a loopback one,
// the host that was asked for is one as well, which keeps out the pages of other sites whose
// name points here, and no header says that a proxy has passed the request on. Behind a
// proxy on this machine that adds no such header, everybody would be let in.
func WithLoopbackOnly() Option {
	return func(c *Console) error { return c.authorizeBy(loopbackAuthorizer{}) }
}

// WithAuthorization lets the program decide by the request: an error refuses, and is logged
// but not shown. It is called for every call of the API, concurrently.
func WithAuthorization(authorize func(*http.Request) error) Option {
	return func(c *Console) error {
		if authorize == nil {
			return &broker.FieldError{Field: "authorization", Problem: "is missing"}
		}
		return c.authorizeBy(programAuthorizer(authorize))
	}
}

// App is what the console may know of an app besides its ID.
type App struct {
	ID string
	// Name is for people; empty is the ID.
	Name string
	// Key, Secret and URL let a request be copied as a command: URL is where the HTTP API
	// is, such as "https://rt.example.com". The secret stays with the console.
	Key, Secret, URL string
}

// WithApps names apps. Those that are in use are shown in any case.
func WithApps(apps ...App) Option {
	return func(c *Console) error { return c.addApps(*c.apps.Load(), apps) }
}

// SetApps names the apps that there are now, in the place of those before; see WithApps. A
// mistake, which is a *broker.FieldError, changes nothing.
func (c *Console) SetApps(apps ...App) error { return c.addApps(nil, apps) }

func (c *Console) addApps(old map[string]App, apps []App) error {
	all := make(map[string]App, len(old)+len(apps))
	maps.Copy(all, old)
	for i, app := range apps {
		if app.ID == "" {
			return &broker.FieldError{Field: fmt.Sprintf("apps[%d].ID", i), Problem: "is missing"}
		}
		if u, err := url.Parse(app.URL); err != nil || app.URL != "" && (u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
			return &broker.FieldError{Field: fmt.Sprintf("apps[%d].URL", i), Value: app.URL, Problem: "is no http or https URL"}
		}
		all[app.ID] = app
	}
	c.apps.Store(&all)
	return nil
}

// Part is something that can be hidden: see WithRedact.
type Part uint8

// What WithRedact hides.
const (
	// Payloads are the data of events and of webhooks.
	Payloads Part = iota + 1
	// UserInfo is the info of members and users; their IDs stay.
	UserInfo
	// Addresses are the clients' IP addresses.
	Addresses
	// Secrets are user and query of the URLs of webhooks. A password there is hidden in
	// any case, and no secret of an app is ever shown.
	Secrets
)

var partNames = []string{Payloads: "payloads", UserInfo: "users", Addresses: "addresses", Secrets: "secrets"}

type redaction struct{ payloads, users, addresses, secrets bool }

// WithRedact hides parts of what the console would show, from the page, its streams and its
// API alike; without any part named it hides all. A search finds nothing in what is hidden.
func WithRedact(parts ...Part) Option {
	return func(c *Console) error {
		if len(parts) == 0 {
			parts = []Part{Payloads, UserInfo, Addresses, Secrets}
		}
		for _, p := range parts {
			switch p {
			case Payloads:
				c.redact.payloads = true
			case UserInfo:
				c.redact.users = true
			case Addresses:
				c.redact.addresses = true
			case Secrets:
				c.redact.secrets = true
			default:
				return &broker.FieldError{Field: "part", Value: fmt.Sprint(p), Problem: "is unknown"}
			}
		}
		return nil
	}
}

func (r redaction) names() []string {
	names := []string{}
	for p, on := range []bool{Payloads: r.payloads, UserInfo: r.users, Addresses: r.addresses, Secrets: r.secrets} {
		if on {
			names = append(names, partNames[p])
		}
	}
	return names
}

// WithReadOnly refuses whatever changes something: publishing, signing a command that
// publishes, closing, deleting, sending webhooks again. Arming a trace is allowed.
func WithReadOnly() Option {
	return func(c *Console) error {
		c.readOnly = true
		return nil
	}
}

// WithLogger sets where the console logs who has changed what. The default is slog.Default.
func WithLogger(log *slog.Logger) Option {
	return func(c *Console) error {
		if log == nil {
			return &broker.FieldError{Field: "logger", Problem: "is missing"}
		}
		c.log = log
		return nil
	}
}

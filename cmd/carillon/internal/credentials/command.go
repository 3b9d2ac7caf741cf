// Package credentials is the command carillon apps new: it makes the credentials of an app
// and writes them the way that servers, Laravel and pages want them.
package credentials

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/url"
	"strconv"

	"github.com/carillon-rt/carillon/cmd/carillon/internal/client"
)

// Credentials are those of one app.
type Credentials struct {
	// ID is a number, since SDKs cannot parse others out of a URL.
	ID string
	// Key is what everybody sees, and Secret, of 160 bits, what nobody sees.
	Key, Secret string
	// MasterKey is what encrypted channels' keys are made of, 32 bytes in base64; empty
	// unless it was asked for.
	MasterKey string
}

// Bounds of an ID: it neither starts with a zero nor is small enough to be taken for a
// count.
const minID, maxID = 100_000, 999_999_999

// New makes credentials of random numbers that nobody can guess.
func New(encrypted bool) (c Credentials, err error) {
	n, err := rand.Int(rand.Reader, big.NewInt(maxID-minID+1))
	if err != nil {
		return c, err
	}
	c = Credentials{ID: strconv.FormatInt(minID+n.Int64(), 10), Key: client.RandomHex(10), Secret: client.RandomHex(20)}
	if encrypted {
		var key [32]byte
		_, _ = rand.Read(key[:]) // never fails
		c.MasterKey = base64.StdEncoding.EncodeToString(key[:])
	}
	return c, nil
}

// Run is the command.
func Run(_ context.Context, args []string, env client.Environment) error {
	set := env.FlagSet("apps new", "", "Makes an ID, a key and a secret for an app, and prints them for carillon's configuration, "+
		"for Laravel's .env and for a page.")
	where := set.String("url", "http://127.0.0.1:6001", "where clients reach the server, a `URL`")
	encrypted := set.Bool("encrypted", false, "make a master key for encrypted channels as well")
	others, err := set.Arguments(args)
	if err != nil {
		return err
	}
	if len(others) > 0 {
		return client.Usage(fmt.Errorf("unexpected argument %q", others[0]))
	}
	u, err := url.Parse(*where)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return client.Usage(fmt.Errorf("-url %q is not like https://rt.example.com", *where))
	}
	c, err := New(*encrypted)
	if err != nil {
		return err
	}
	return errors.Join(c.toml(env.Stdout), c.env(env.Stdout, u), c.page(env.Stdout, u))
}

func (c Credentials) toml(w io.Writer) error {
	_, err := fmt.Fprintf(w, "# carillon.toml, on the server: nobody else may read it\n[[apps]]\nid = %q\nkey = %q\nsecret = %q\n", c.ID, c.Key, c.Secret)
	if c.MasterKey != "" {
		_, e := fmt.Fprintf(w, "encryption_master_key = %q\n", c.MasterKey)
		err = errors.Join(err, e)
	}
	return err
}

func (c Credentials) env(w io.Writer, u *url.URL) error {
	_, err := fmt.Fprintf(w, `
# .env of Laravel, and of whatever else publishes
BROADCAST_CONNECTION=pusher
PUSHER_APP_ID=%s
PUSHER_APP_KEY=%s
PUSHER_APP_SECRET=%s
PUSHER_HOST=%s
PUSHER_PORT=%s
PUSHER_SCHEME=%s
`, c.ID, c.Key, c.Secret, u.Hostname(), client.PortOf(u), u.Scheme)
	if c.MasterKey != "" {
		_, e := fmt.Fprintf(w, "PUSHER_ENCRYPTION_MASTER_KEY_BASE64=%s\n", c.MasterKey)
		err = errors.Join(err, e)
	}
	return err
}

func (c Credentials) page(w io.Writer, u *url.URL) error {
	host := u.Hostname()
	if ip := net.ParseIP(host); ip != nil && ip.To4() == nil {
		host = "[" + host + "]"
	}
	path := ""
	if p := u.EscapedPath(); p != "" && p != "/" {
		path = fmt.Sprintf("\n  wsPath: %q,", p)
	}
	_, err := fmt.Fprintf(w, `
// A page, with pusher-js; the secret is not part of it
const pusher = new Pusher(%q, {
  wsHost: %q, wsPort: %s, wssPort: %s, forceTLS: %t,%s
  enabledTransports: ["ws", "wss"], cluster: "",
});
`, c.Key, host, client.PortOf(u), client.PortOf(u), u.Scheme == "https", path)
	return err
}

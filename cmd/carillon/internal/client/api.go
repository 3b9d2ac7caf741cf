package client

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/md5" //nolint:gosec // the protocol's digest of bodies; the signature is HMAC-SHA256
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/carillon-rt/carillon/pusher"
)

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 1 << 20

// API is the HTTP API of an app. It is safe for concurrent use.
type API struct {
	app  *App
	http *http.Client
}

// NewAPI returns the app's API, over up to conns connections at a time. The app needs its
// ID, key and secret.
func NewAPI(app *App, conns int) *API { return &API{app: app, http: app.httpClient(conns)} }

// Close closes connections that are not in use.
func (a *API) Close() { a.http.CloseIdleConnections() }

// Event is an event as a backend sends it.
type Event struct {
	Name     string   `json:"name"`
	Data     string   `json:"data"`
	Channel  string   `json:"channel,omitempty"`
	Channels []string `json:"channels,omitempty"`
	// SocketID is the connection that does not get the event; empty for none.
	SocketID string `json:"socket_id,omitempty"`
	// Info is what the answer says of the channels, such as "subscription_count".
	Info string `json:"info,omitempty"`
}

// MaxBatch is how many events PublishBatch takes.
const MaxBatch = 10

// Publish sends an event, and returns the server's answer, a JSON object. A refusal is a
// *StatusError.
func (a *API) Publish(ctx context.Context, e Event) ([]byte, error) { return a.post(ctx, "events", e) }

// PublishBatch sends up to MaxBatch events, each for one channel.
func (a *API) PublishBatch(ctx context.Context, events []Event) ([]byte, error) {
	return a.post(ctx, "batch_events", map[string][]Event{"batch": events})
}

// StatusError is an answer other than 200.
type StatusError struct {
	// Status is the answer's, and Body the beginning of its text.
	Status int
	Body   string
	// Skew is how far this machine's clock is ahead of the server's, to the second; zero if
	// the answer does not say.
	Skew time.Duration
}

// Error implements error.
func (e *StatusError) Error() string {
	text := fmt.Sprintf("the server answered %d %s", e.Status, http.StatusText(e.Status))
	if e.Body != "" {
		text += ": " + e.Body
	}
	return text + e.hint()
}

// hint says what is likely to be wrong, in words that follow the server's.
func (e *StatusError) hint() string {
	switch {
	case e.Status == http.StatusUnauthorized && e.Skew.Abs() > pusher.TimestampWindow-time.Minute:
		side := "ahead of"
		if e.Skew < 0 {
			side = "behind"
		}
		return fmt.Sprintf(" (this machine's clock is %s %s the server's, and a signature holds for %s: set the clocks)",
			e.Skew.Abs(), side, pusher.TimestampWindow)
	case e.Status == http.StatusUnauthorized:
		return " (key and secret have to be those of the app with this ID)"
	case e.Status == http.StatusNotFound:
		return " (is the app's ID right, and does the server's address end before /apps?)"
	case e.Status >= 300 && e.Status < 400:
		return " (a redirect, which a signature does not survive: give the address that it leads to, perhaps with https)"
	}
	return ""
}

// post sends a signed request for what is below /apps/{id}/.
func (a *API) post(ctx context.Context, rest string, what any) ([]byte, error) {
	body, err := json.Marshal(what)
	if err != nil {
		return nil, err
	}
	u := a.app.API
	path := "/apps/" + url.PathEscape(a.app.ID) + "/" + rest
	target := u.String() + path + "?" + signQuery(a.app, http.MethodPost, path, body, time.Now())
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	sent := time.Now()
	res, err := a.http.Do(req)
	if err != nil {
		return nil, unreachable(u, err)
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("read the answer of %s: %w", u.Host, err)
	}
	if len(answer) > maxAnswer {
		return nil, fmt.Errorf("the answer of %s is longer than %d bytes", u.Host, maxAnswer)
	}
	if res.StatusCode == http.StatusOK {
		return answer, nil
	}
	refused := &StatusError{Status: res.StatusCode, Body: clip(strings.TrimSpace(string(answer)))}
	if date, err := http.ParseTime(res.Header.Get("Date")); err == nil {
		refused.Skew = sent.Truncate(time.Second).Sub(date)
	}
	return nil, refused
}

// signQuery returns the query of a request, whose last part signs all of it.
func signQuery(app *App, method, path string, body []byte, now time.Time) string {
	digest := md5.Sum(body) //nolint:gosec // see the import
	pairs := []string{"auth_key=" + app.Key, "auth_timestamp=" + strconv.FormatInt(now.Unix(), 10), "auth_version=1.0",
		"body_md5=" + hex.EncodeToString(digest[:])}
	slices.Sort(pairs)
	mac := hmac.New(sha256.New, []byte(app.Secret))
	_, _ = io.WriteString(mac, method+"\n"+path+"\n"+strings.Join(pairs, "&"))
	query := url.Values{"auth_signature": {hex.EncodeToString(mac.Sum(nil))}}
	for _, pair := range pairs {
		name, value, _ := strings.Cut(pair, "=")
		query.Set(name, value)
	}
	return query.Encode()
}

// unreachable says in words of people why there was no answer.
func unreachable(u url.URL, err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err // without the address, which has the signature
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("nothing listens at %s: %w (say where the server is with -url, or PUSHER_HOST and PUSHER_PORT)", u.Host, err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("no answer from %s within %s: %w", u.Host, requestTimeout, err)
	case strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return fmt.Errorf("%s does not speak TLS: %w (give -scheme http)", u.Host, err)
	}
	return fmt.Errorf("no answer from %s: %w", u.Host, err)
}

// maxClip is how much of a foreign text goes into an error, in bytes.
const maxClip = 500

// clip cuts a text that a server chose.
func clip(s string) string {
	if len(s) <= maxClip {
		return Printable(s)
	}
	return Printable(strings.ToValidUTF8(s[:maxClip], "")) + "…"
}

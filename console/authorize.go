package console

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// authorizer decides who may use the console.
type authorizer interface {
	// allow returns an error for who may not: a *denied says more than "forbidden".
	allow(r *http.Request) error
	// method is what the page is told of it.
	method() string
}

// denied is a refusal that the page is told the reason of.
type denied struct {
	status int
	code   string
	text   string
	retry  time.Duration
}

func (d *denied) Error() string { return d.text }

var (
	errSignIn  = &denied{status: http.StatusUnauthorized, code: "unauthorized", text: "Sign in to see the console."}
	errToken   = &denied{status: http.StatusUnauthorized, code: "unauthorized", text: "This token is not the console's."}
	errGuesses = &denied{status: http.StatusTooManyRequests, code: "too_many", text: "Too many wrong tokens. Try again in a minute.", retry: time.Minute}
)

const (
	cookieName = "carillon_console"
	// signedInTime is how long a sign-in lasts, and maxSignedIn how many there may be.
	signedInTime = 12 * time.Hour
	maxSignedIn  = 64
	// guesses is how many wrong tokens a minute one address may send, and maxGuessers of
	// how many addresses that is known.
	guesses     = 10
	maxGuessers = 4096
)

// tokenAuthorizer lets in whoever knows the token, or has signed in with it.
type tokenAuthorizer struct {
	token [sha256.Size]byte

	mu       sync.Mutex
	signedIn map[[sha256.Size]byte]time.Time // guarded by mu: when the sign-ins end, by the hash of their cookie
	guessers map[string]guesser              // guarded by mu: by address
}

// guesser is an address that has sent wrong tokens in the minute since then.
type guesser struct {
	since time.Time
	wrong int
}

func newTokenAuthorizer(token string) *tokenAuthorizer {
	return &tokenAuthorizer{token: sha256.Sum256([]byte(token)),
		signedIn: make(map[[sha256.Size]byte]time.Time), guessers: make(map[string]guesser)}
}

func (a *tokenAuthorizer) method() string { return "token" }

func (a *tokenAuthorizer) allow(r *http.Request) error {
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return a.check(r, bearer)
	}
	cookie, err := r.Cookie(cookieName)
	if err != nil || !a.knows(cookie.Value) {
		return errSignIn
	}
	return nil
}

// check compares a token in a time that does not depend on how much of it is right.
func (a *tokenAuthorizer) check(r *http.Request, token string) error {
	address, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		address = r.RemoteAddr
	}
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	g := a.guessers[address]
	if now.Sub(g.since) >= time.Minute {
		g = guesser{since: now}
	}
	if g.wrong >= guesses {
		return errGuesses
	}
	given := sha256.Sum256([]byte(token))
	if subtle.ConstantTimeCompare(given[:], a.token[:]) == 1 {
		return nil
	}
	if len(a.guessers) >= maxGuessers && g.wrong == 0 {
		clear(a.guessers)
	}
	g.wrong++
	a.guessers[address] = g
	return errToken
}

// signIn returns the value of a cookie that stands for the token.
func (a *tokenAuthorizer) signIn() string {
	value := rand.Text()
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	var first [sha256.Size]byte
	var earliest time.Time
	for id, end := range a.signedIn {
		if now.After(end) {
			delete(a.signedIn, id)
		} else if earliest.IsZero() || end.Before(earliest) {
			first, earliest = id, end
		}
	}
	if len(a.signedIn) >= maxSignedIn {
		delete(a.signedIn, first)
	}
	a.signedIn[sha256.Sum256([]byte(value))] = now.Add(signedInTime)
	return value
}

// knows reports whether a cookie stands for a sign-in. Its hash is looked for, which tells
// nothing by the time that it takes.
func (a *tokenAuthorizer) knows(cookie string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	end, ok := a.signedIn[sha256.Sum256([]byte(cookie))]
	return ok && time.Now().Before(end)
}

func (a *tokenAuthorizer) signOut(cookie string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.signedIn, sha256.Sum256([]byte(cookie)))
}

// loopbackAuthorizer lets in whoever is on this machine.
type loopbackAuthorizer struct{}

func (loopbackAuthorizer) method() string { return "loopback" }

// forwardingHeaders are those by which a proxy says that it has passed a request on.
var forwardingHeaders = []string{"Forwarded", "Via", "X-Real-Ip", "True-Client-Ip", "Cf-Connecting-Ip",
	"X-Client-Ip", "X-Cluster-Client-Ip", "Fastly-Client-Ip", "X-Original-Forwarded-For"}

var errNotHere = errors.New("request does not come from this machine")

func (loopbackAuthorizer) allow(r *http.Request) error {
	for name := range r.Header {
		if strings.HasPrefix(name, "X-Forwarded-") {
			return errNotHere
		}
	}
	for _, name := range forwardingHeaders {
		if _, ok := r.Header[name]; ok {
			return errNotHere
		}
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !peer.Addr().Unmap().IsLoopback() || !loopbackHost(r.Host) {
		return errNotHere
	}
	return nil
}

// loopbackHost reports whether a host, with or without a port, is this machine by its name
// alone. Any other name may point here as well, so that its pages could read the console.
func loopbackHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.Unmap().IsLoopback()
}

// programAuthorizer asks the program.
type programAuthorizer func(*http.Request) error

func (programAuthorizer) method() string { return "program" }

func (a programAuthorizer) allow(r *http.Request) error { return a(r) }

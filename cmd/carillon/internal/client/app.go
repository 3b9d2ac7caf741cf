// Package client talks to servers of the Pusher protocol as backends and pages do: it
// publishes over the signed HTTP API and listens on a WebSocket. Carillon is one such
// server; the hosted service, soketi, Reverb and others are as good. It is for the
// commands of carillon; programs use one of Pusher's SDKs.
package client

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// App is one app of one server.
type App struct {
	// API is what comes before /apps in the addresses of the HTTP API, and Socket what
	// comes before /app in that of the WebSocket: both are http or https, with a host
	// and without a slash at the end.
	API, Socket url.URL
	// ID, Key and Secret are the app's credentials, and MasterKey the 32 bytes that
	// encrypted channels' keys are made of. What was not given is empty.
	ID, Key, Secret string
	MasterKey       []byte
	// SkipVerify accepts whatever certificate the server shows.
	SkipVerify bool
	// Dial connects; nil does so over TCP.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Require returns an error that says how to give the first of the credentials that are
// missing: "id", "key" or "secret".
func (a *App) Require(names ...string) error {
	for _, name := range names {
		value, flag, env := a.ID, "-app-id", "PUSHER_APP_ID"
		switch name {
		case "key":
			value, flag, env = a.Key, "-key", "PUSHER_APP_KEY"
		case "secret":
			value, flag, env = a.Secret, "-secret", "PUSHER_APP_SECRET"
		}
		if value == "" {
			return fmt.Errorf("the app's %s is missing: give %s, set %s, or name a file with -config", name, flag, env)
		}
	}
	return nil
}

// RequireMasterKey returns an error that says how to give the encryption master key if a
// channel needs it and it is missing.
func (a *App) RequireMasterKey(channel string) error {
	if IsEncrypted(channel) && a.MasterKey == nil {
		return fmt.Errorf("%s is encrypted: give -encryption-master-key, or set PUSHER_ENCRYPTION_MASTER_KEY_BASE64", channel)
	}
	return nil
}

// Bounds of one request.
const (
	connectTimeout = 10 * time.Second
	requestTimeout = 20 * time.Second
)

// httpClient returns a client that keeps up to conns connections to the server, whose
// requests may take as long as their contexts let them.
func (a *App) httpClient(conns int) *http.Client {
	dial := a.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: connectTimeout}).DialContext
	}
	return &http.Client{
		Transport: &http.Transport{
			DialContext: dial, TLSHandshakeTimeout: connectTimeout, MaxIdleConnsPerHost: conns, MaxConnsPerHost: conns,
			Proxy: http.ProxyFromEnvironment, ResponseHeaderTimeout: requestTimeout, MaxResponseHeaderBytes: 64 << 10,
			TLSClientConfig: &tls.Config{InsecureSkipVerify: a.SkipVerify}, //nolint:gosec // what PUSHER_VERIFY_PEER=false asks for
		},
		// A signature holds for one address: what is sent elsewhere is refused there.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// address is where a server is, as flags and environment say it.
type address struct {
	url, host, port, scheme, cluster string
}

// Where a server is unless something else is said: where Carillon listens by default.
const (
	defaultHost = "127.0.0.1"
	defaultPort = "6001"
)

// resolve returns the bases of the HTTP API and the WebSocket.
func (a address) resolve() (api, socket url.URL, err error) {
	switch {
	case a.url != "":
		u, err := parseBase(a.url)
		return u, u, err
	case a.cluster != "":
		if strings.ContainsAny(a.cluster, "/:.@") {
			return api, socket, fmt.Errorf("-cluster %q is no name like eu or mt1", a.cluster)
		}
		return url.URL{Scheme: "https", Host: "api-" + a.cluster + ".pusher.com"},
			url.URL{Scheme: "https", Host: "ws-" + a.cluster + ".pusher.com"}, nil
	}
	// As Laravel has it: https and its port, unless it is said otherwise. On this machine
	// there is rarely a certificate.
	scheme, host, port := a.scheme, a.host, a.port
	if host == "" {
		host = defaultHost
		if port == "" {
			port = defaultPort
		}
	}
	if scheme == "" {
		if scheme = "https"; isLoopback(host) && port != "443" {
			scheme = "http"
		}
	}
	if scheme != "http" && scheme != "https" {
		return api, socket, fmt.Errorf("scheme %q is neither http nor https", scheme)
	}
	if strings.Contains(host, "/") {
		return api, socket, fmt.Errorf("host %q is no name of a host: an address is given with -url", host)
	}
	u := url.URL{Scheme: scheme, Host: host}
	if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") {
		u.Host = "[" + host + "]"
	}
	if port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return api, socket, fmt.Errorf("port %q is no number from 1 to 65535", port)
		}
		u.Host += ":" + port
	}
	return u, u, nil
}

func parseBase(text string) (url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return url.URL{}, fmt.Errorf("-url: %w", err)
	}
	switch u.Scheme {
	case "ws":
		u.Scheme = "http"
	case "wss":
		u.Scheme = "https"
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return url.URL{}, fmt.Errorf("-url %q is not like https://rt.example.com or http://127.0.0.1:6001/prefix", text)
	}
	u.Path = strings.TrimRight(u.Path, "/")
	return *u, nil
}

// PortOf is the port of an http or https URL, that of its scheme where it names none.
func PortOf(u *url.URL) string {
	if port := u.Port(); port != "" {
		return port
	}
	if u.Scheme == "https" {
		return "443"
	}
	return "80"
}

// isLoopback reports whether a name of a host means this machine whatever a resolver
// says.
func isLoopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && addr.IsLoopback()
}

func parseMasterKey(text string) ([]byte, error) {
	if text == "" {
		return nil, nil
	}
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("the encryption master key is not base64: %w", err)
	}
	if len(key) != 32 {
		return nil, fmt.Errorf("the encryption master key has %d bytes, not 32", len(key))
	}
	return key, nil
}

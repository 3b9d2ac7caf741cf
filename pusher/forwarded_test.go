package pusher

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTrustedProxies(t *testing.T) {
	type header = map[string]string
	for name, c := range map[string]struct {
		remote string
		header header
		want   client
	}{
		"no proxy":              {"9.9.9.9:1", header{}, client{"9.9.9.9", "own", false}},
		"not trusted":           {"9.9.9.9:1", header{"X-Forwarded-For": "1.2.3.4", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "h", "Forwarded": "for=1.2.3.4"}, client{"9.9.9.9", "own", false}},
		"says nothing":          {"10.0.0.1:1", header{}, client{"10.0.0.1", "own", false}},
		"one":                   {"10.0.0.1:1", header{"X-Forwarded-For": "1.2.3.4", "X-Forwarded-Proto": "https"}, client{"1.2.3.4", "own", true}},
		"over IPv6":             {"[::1]:1", header{"X-Forwarded-For": "2001:db8::1"}, client{"2001:db8::1", "own", false}},
		"mapped":                {"[::ffff:10.0.0.1]:1", header{"X-Forwarded-For": "::ffff:1.2.3.4"}, client{"1.2.3.4", "own", false}},
		"two":                   {"10.0.0.1:1", header{"X-Forwarded-For": "6.6.6.6, 1.2.3.5, 10.0.0.2"}, client{"1.2.3.5", "own", false}},
		"nobody but proxies":    {"10.0.0.1:1", header{"X-Forwarded-For": "10.0.0.3"}, client{"10.0.0.3", "own", false}},
		"nonsense":              {"10.0.0.1:1", header{"X-Forwarded-For": "nonsense"}, client{"10.0.0.1", "own", false}},
		"nonsense of a client":  {"10.0.0.1:1", header{"X-Forwarded-For": `", 1.2.3.4`}, client{"1.2.3.4", "own", false}},
		"port":                  {"10.0.0.1:1", header{"X-Forwarded-For": "6.6.6.6, 203.0.113.9:5123"}, client{"203.0.113.9", "own", false}},
		"ports":                 {"10.0.0.1:1", header{"X-Forwarded-For": "203.0.113.8:5123, 10.0.0.2:80"}, client{"203.0.113.8", "own", false}},
		"port of IPv6":          {"10.0.0.1:1", header{"X-Forwarded-For": "[2001:db8::2]:443"}, client{"2001:db8::2", "own", false}},
		"brackets":              {"10.0.0.1:1", header{"X-Forwarded-For": "[2001:DB8::3]"}, client{"2001:db8::3", "own", false}},
		"half a bracket":        {"10.0.0.4:1", header{"X-Forwarded-For": "[2001:db8::3"}, client{"10.0.0.4", "own", false}},
		"no port":               {"10.0.0.5:1", header{"X-Forwarded-For": "1.2.3.4:port"}, client{"10.0.0.5", "own", false}},
		"Traefik":               {"10.0.0.1:1", header{"X-Forwarded-For": "1.2.3.4", "X-Forwarded-Proto": "wss"}, client{"1.2.3.4", "own", true}},
		"upper case":            {"10.0.0.1:1", header{"X-Forwarded-Proto": "HTTPS"}, client{"10.0.0.1", "own", true}},
		"not encrypted":         {"10.0.0.1:1", header{"X-Forwarded-Proto": "ws"}, client{"10.0.0.1", "own", false}},
		"first was encrypted":   {"10.0.0.1:1", header{"X-Forwarded-Proto": "https, http"}, client{"10.0.0.1", "own", true}},
		"in a row":              {"10.0.0.1:1", header{"X-Forwarded-For": "1.2.3.4, 10.0.0.2", "X-Forwarded-Proto": "https,http"}, client{"1.2.3.4", "own", true}},
		"client claims TLS":     {"10.0.0.1:1", header{"X-Forwarded-For": "10.0.0.9, 1.2.3.4", "X-Forwarded-Proto": "https,http"}, client{"1.2.3.4", "own", false}},
		"host":                  {"10.0.0.1:1", header{"X-Forwarded-Host": "rt.example"}, client{"10.0.0.1", "rt.example", false}},
		"host and port":         {"10.0.0.1:1", header{"X-Forwarded-Host": "rt.example:8443"}, client{"10.0.0.1", "rt.example:8443", false}},
		"port apart":            {"10.0.0.1:1", header{"X-Forwarded-Host": "rt.example", "X-Forwarded-Port": "8443"}, client{"10.0.0.1", "rt.example:8443", false}},
		"port apart, IPv6":      {"10.0.0.1:1", header{"X-Forwarded-Host": "[::1]", "X-Forwarded-Port": "8443"}, client{"10.0.0.1", "[::1]:8443", false}},
		"usual port":            {"10.0.0.1:1", header{"X-Forwarded-Host": "rt.example", "X-Forwarded-Port": "443"}, client{"10.0.0.1", "rt.example", false}},
		"port of no host":       {"10.0.0.1:1", header{"X-Forwarded-Port": "8080"}, client{"10.0.0.1", "own", false}},
		"hosts in a row":        {"10.0.0.1:1", header{"X-Forwarded-For": "1.2.3.4, 10.0.0.2", "X-Forwarded-Host": "rt.example, inner"}, client{"1.2.3.4", "rt.example", false}},
		"Forwarded":             {"10.0.0.1:1", header{"Forwarded": "for=1.2.3.4;proto=https;host=rt.example"}, client{"1.2.3.4", "rt.example", true}},
		"Forwarded, quoted":     {"10.0.0.1:1", header{"Forwarded": `For="[2001:db8:cafe::17]:4711"; Proto=WSS; Host="rt.example:8443"`}, client{"2001:db8:cafe::17", "rt.example:8443", true}},
		"Forwarded, in a row":   {"10.0.0.1:1", header{"Forwarded": "for=6.6.6.6;host=evil, for=1.2.3.4;proto=https;host=rt.example, for=10.0.0.2;proto=http;host=inner"}, client{"1.2.3.4", "rt.example", true}},
		"Forwarded, hidden":     {"10.0.0.1:1", header{"Forwarded": "for=_hidden;proto=https"}, client{"10.0.0.1", "own", true}},
		"Forwarded of a client": {"10.0.0.1:1", header{"Forwarded": "for=6.6.6.6;proto=https;host=evil", "X-Forwarded-For": "1.2.3.4"}, client{"1.2.3.4", "own", false}},
		"a way without end":     {"10.0.0.1:1", header{"X-Forwarded-For": "1.2.3.4" + strings.Repeat(",10.0.0.2", 100_000)}, client{"10.0.0.2", "own", false}},
	} {
		t.Run(name, func(t *testing.T) {
			o := &options{}
			require.NoError(t, WithTrustedProxies(netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128"))(o))
			r := httptest.NewRequest("GET", "http://own/", nil)
			r.RemoteAddr = c.remote
			for name, value := range c.header {
				r.Header.Set(name, value)
			}
			assert.Equal(t, c.want, o.client(r))
			assert.Equal(t, "own", (&options{}).client(r).host)
		})
	}
}

func TestProxyHeadersInSeveralLines(t *testing.T) {
	o := &options{trustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	r := httptest.NewRequest("GET", "http://own/", nil)
	r.RemoteAddr = "10.0.0.1:1"
	r.Header["X-Forwarded-For"] = []string{"1.2.3.4", "10.0.0.2"}
	r.Header["X-Forwarded-Proto"] = []string{"https", "http"}
	assert.Equal(t, client{"1.2.3.4", "own", true}, o.client(r))
}

func TestProxyOverAUnixSocket(t *testing.T) {
	r := httptest.NewRequest("GET", "http://own/", nil)
	r.RemoteAddr = "@"
	r.Header.Set("X-Forwarded-For", "1.2.3.4")
	r.Header.Set("X-Forwarded-Proto", "https")
	overUnix := r.WithContext(context.WithValue(t.Context(), http.LocalAddrContextKey, &net.UnixAddr{Net: "unix", Name: "/run/rt.sock"}))
	o := &options{}
	assert.Equal(t, client{"@", "own", false}, o.client(overUnix))
	require.NoError(t, WithTrustedUnixSocket()(o))
	assert.Equal(t, client{"1.2.3.4", "own", true}, o.client(overUnix))
	assert.Equal(t, client{"@", "own", false}, o.client(r), "it came over something else")
	r.RemoteAddr = "9.9.9.9:1"
	assert.Equal(t, client{"9.9.9.9", "own", false}, o.client(r))
}

// FuzzForwarded looks for panics, and for hops that nobody has named.
func FuzzForwarded(f *testing.F) {
	f.Add("1.2.3.4, 10.0.0.1", "https", "h", `for="[::1]:80";proto=https`)
	f.Add("", "", "", `for="a,b";host=",", by=x`)
	f.Fuzz(func(t *testing.T, addrs, proto, host, rfc string) {
		h := http.Header{}
		for name, value := range map[string]string{"X-Forwarded-For": addrs, "X-Forwarded-Proto": proto, "X-Forwarded-Host": host, "Forwarded": rfc} {
			if value != "" {
				h.Set(name, value)
			}
		}
		for _, hop := range forwarded(h) {
			assert.LessOrEqual(t, len(hop.addr)+len(hop.proto), len(addrs)+len(proto)+len(rfc))
		}
		assert.LessOrEqual(t, len(forwarded(h)), maxHops)
	})
}

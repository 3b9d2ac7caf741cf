package pusher

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/carillon-rt/carillon/broker"
)

func TestOrigins(t *testing.T) {
	own, b := []string(nil), []string{"https://b.example"}
	for _, c := range []struct {
		origin, host string
		allowed      []string
		want         bool
	}{
		{"", "a.example", own, true},
		{"", "a.example", b, true},
		{"https://a.example", "a.example", own, true},
		{"https://A.example", "a.Example", own, true},
		{"http://a.example:8080", "a.example:8080", own, true},
		{"https://a.example", "a.example:8080", own, false},
		{"https://a.example:8080", "a.example", own, false},
		{"https://evil.example", "a.example", own, false},
		{"null", "a.example", own, false},
		{"file://", "a.example", own, false},
		{"://", "a.example", own, false},
		{"https://", "", own, false},
		{"https://a.example@a.example", "a.example", own, false},

		// A port that is the scheme's own is none, on either side.
		{"https://a.example:443", "a.example", own, true},
		{"https://a.example", "a.example:443", own, true},
		{"http://a.example:80", "a.example", own, true},
		{"http://a.example:443", "a.example", own, false},
		{"https://a.example:80", "a.example", own, false},
		{"wss://a.example:443", "a.example", own, true},
		{"ws://a.example:8080", "a.example:8080", own, true},
		{"http://[::1]:8080", "[::1]:8080", own, true},
		{"http://[::1]", "[::1]:80", own, true},
		{"http://localhost/", "localhost", own, true},
		{"capacitor://a.example", "a.example", own, true},
		{"https://a.example:", "a.example", own, false},
		{"https://a.example:x", "a.example", own, false},

		{"https://evil.example", "a.example", []string{"*"}, true},
		{"null", "a.example", []string{"*"}, true},
		{"null", "a.example", []string{"null"}, true},
		{"null", "a.example", b, false},
		{"file://", "a.example", []string{"file://"}, true},
		{"file://", "a.example", []string{"null", "*://*"}, false},
		{"https://null", "a.example", []string{"null"}, false},
		{"capacitor://localhost", "", []string{"capacitor://localhost"}, true},
		{"ionic://localhost", "", []string{"capacitor://localhost"}, false},

		{"https://b.example", "a.example", b, true},
		{"https://B.Example:443/", "a.example", b, true},
		{"wss://b.example", "a.example", b, true},
		{"https://b.example", "a.example", []string{"HTTPS://B.example:443"}, true},
		{"https://b.example", "a.example", []string{"wss://b.example/"}, true},
		{"https://b.example:8443", "a.example", b, false},
		{"http://b.example", "a.example", b, false},
		{"ws://b.example", "a.example", b, false},
		{"https://a.example", "a.example", b, false},  // a name that the client chooses
		{"wss://a.example:443", "a.example", b, true}, // which no page has
		{"ws://a.example:6001", "a.example:6001", b, true},
		{"ws://evil.example", "a.example", b, false},

		{"https://x.b.example", "", []string{"https://*.b.example"}, true},
		{"https://x.y.b.example", "", []string{"https://*.b.example"}, true},
		{"https://x.b.example:443", "", []string{"https://*.b.example"}, true},
		{"https://b.example", "", []string{"https://*.b.example"}, false},
		{"https://xb.example", "", []string{"https://*.b.example"}, false},
		{"https://x.b.example:8443", "", []string{"https://*.b.example"}, false},
		{"https://evil/.b.example", "", []string{"https://*.b.example"}, false},
		{"https://evil.example:1.b.example", "", []string{"https://*.b.example:*"}, false},
		{"http://localhost:5173", "", []string{"http://localhost:*"}, true},
		{"http://localhost", "", []string{"http://localhost:*"}, true},
		{"http://localhost.evil:80", "", []string{"http://localhost:*"}, false},
		{"https://x.b.example:8443", "", []string{"https://*.b.example:*"}, true},
		{"https://c.example:8443", "", []string{"https://*"}, true},
		{"http://c.example", "", []string{"https://*"}, false},
		{"http://c.example", "", []string{"*://c.example"}, true},
		{"https://c.example", "", []string{"*://c.example:443"}, true},
	} {
		assert.Equal(t, c.want, originAllowed(c.origin, c.host, &App{AllowedOrigins: c.allowed}), "%+v", c)
	}
}

func TestHosts(t *testing.T) {
	hosts := []string{"rt.example", "LOCALHOST:6001", "127.0.0.1:*"}
	for _, c := range []struct {
		origin, host string
		allowed      []string
		want         bool
	}{
		{"https://rt.example:443", "rt.example", nil, true},
		{"http://rt.example", "10.0.0.1:8080", nil, true},
		{"http://localhost:6001", "10.0.0.1", nil, true},
		{"http://localhost", "localhost", nil, false},
		{"http://127.0.0.1:5173", "10.0.0.1", nil, true},
		{"http://127.0.0.1", "10.0.0.1", nil, true},
		{"https://evil.example", "evil.example", nil, false}, // a name of somebody else that points here
		{"wss://lan.example", "lan.example", nil, true},
		{"https://rt.example:443", "rt.example", []string{"https://page.example"}, true},
		{"https://page.example", "rt.example", []string{"https://page.example"}, true},
		{"https://evil.example", "evil.example", []string{"https://page.example"}, false},
	} {
		assert.Equal(t, c.want, originAllowed(c.origin, c.host, &App{AllowedOrigins: c.allowed, Hosts: hosts}), "%+v", c)
	}
}

// TestALongOriginIsNotCompared is about what matching pattern by pattern, and star
// by star, once took 32 s for.
func TestALongOriginIsNotCompared(t *testing.T) {
	app := &App{AllowedOrigins: []string{"https://*.example.com:*", "*"}}
	long := "https://" + strings.Repeat(".example.com:", 300<<10/13)
	assert.False(t, originAllowed(long, "a.example", app))
	assert.False(t, originAllowed("https://"+strings.Repeat("a", maxOrigin), "a.example", app))
}

// TestGlobLooksAtATextOnce takes what would keep a matcher that goes back busy for
// longer than any test may run.
func TestGlobLooksAtATextOnce(t *testing.T) {
	assert.False(t, glob(strings.Repeat("*a", 5000)+"*b", strings.Repeat("a", 1<<20)))
	assert.True(t, glob(strings.Repeat("*a", 5000)+"*", strings.Repeat("a", 1<<20)))
}

// FuzzGlob holds glob to what regular expressions say.
func FuzzGlob(f *testing.F) {
	f.Add("*.example.com", "a.example.com")
	f.Add("a*b*ab", "aab")
	f.Add("*", "")
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if len(pattern)+len(text) > 200 {
			return
		}
		quoted := strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, "(?s:.*)")
		want, err := regexp.MatchString(`\A`+quoted+`\z`, text)
		if err != nil || strings.ToValidUTF8(pattern+text, "") != pattern+text {
			return
		}
		assert.Equal(t, want, glob(pattern, text), "%q %q", pattern, text)
	})
}

// FuzzOrigins looks for origins that are allowed by a list although their host is
// none of it.
func FuzzOrigins(f *testing.F) {
	f.Add("https://x.b.example", "a.example")
	f.Add("https://evil.example/.b.example", "evil.example")
	f.Add("https://[::1]:80", "[::1]")
	f.Add("WSS://a:443/", "a")
	app := &App{AllowedOrigins: []string{"https://*.b.example"}}
	f.Fuzz(func(t *testing.T, text, host string) {
		if !originAllowed(text, host, app) || text == "" {
			return
		}
		o, ok := parseOrigin(text)
		assert.True(t, ok)
		listed, _ := path.Match("*.b.example", o.host)
		assert.True(t, listed && o.scheme == "https" && o.port == "443" || o.socket, "%q at %q", text, host)
	})
}

// TestErrorsQuoteNoMoreThanHelps keeps a long name from coming back as long.
func TestErrorsQuoteNoMoreThanHelps(t *testing.T) {
	a := newAPITest(t)
	long := strings.Repeat("ü", 300<<10)
	c := Connect(t, a.handler.Open(t.Context(), Dial{Key: "key", Protocol: "7", Origin: long}))
	assert.Less(t, len(next(t, c)), 2*maxErrorText)
	c = Connect(t, a.handler.Open(t.Context(), Dial{Key: long, Protocol: "7"}))
	assert.Less(t, len(next(t, c)), 2*maxErrorText)
	for _, w := range []*httptest.ResponseRecorder{
		a.get("/channels", url.Values{"info": {long}}),
		a.do(httptest.NewRequest("GET", "/apps/"+url.PathEscape(long)+"/channels", nil)),
		askForm(NewAuthHandler(a.app, func(*http.Request, AuthRequest) (*broker.Member, error) { return nil, nil }), url.Values{"socket_id": {long[:10000]}}),
	} {
		assert.GreaterOrEqual(t, w.Code, 400)
		assert.Less(t, w.Body.Len(), 2*maxErrorText)
	}
}

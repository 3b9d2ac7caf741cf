package console

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
)

func TestNoConsoleWithoutAuthorization(t *testing.T) {
	allow := func(*http.Request) error { return nil }
	for name, opts := range map[string][]Option{
		"none":               nil,
		"only other options": {WithReadOnly(), WithRedact()},
		"no token":           {WithToken("")},
		"a short token":      {WithToken("0123456789abcde")},
		"no function":        {WithAuthorization(nil)},
		"two":                {WithLoopbackOnly(), WithToken(testToken)},
		"twice":              {WithAuthorization(allow), WithAuthorization(allow)},
	} {
		c, err := New(opts...)
		assert.ErrorIs(t, err, broker.ErrInvalid, name)
		assert.Nil(t, c, name)
	}
	for _, opt := range []Option{WithLogger(nil), WithApps(App{Name: "without ID"}), WithApps(App{ID: "1", URL: "rt.example.com"}), WithApps(App{ID: "1", URL: "javascript:alert(1)"}),
		WithRedact(Part(99)), WithRedact(Part(0)),
		WithLimits(Limits{Events: -1}), WithLimits(Limits{ArmedTime: -1}), WithLimits(Limits{Viewers: -5})} {
		_, err := New(WithLoopbackOnly(), opt)
		assert.ErrorIs(t, err, broker.ErrInvalid)
	}
}

func tokenConsole(t *testing.T) *Console {
	c, err := New(WithToken(testToken))
	require.NoError(t, err)
	return c
}

func TestToken(t *testing.T) {
	c := tokenConsole(t)
	for header, want := range map[string]int{
		"":                             http.StatusUnauthorized,
		"Bearer ":                      http.StatusUnauthorized,
		"Bearer wrong":                 http.StatusUnauthorized,
		"Bearer " + testToken + "x":    http.StatusUnauthorized,
		"Bearer " + testToken[:20]:     http.StatusUnauthorized,
		"Basic " + testToken:           http.StatusUnauthorized,
		"bearer" + testToken:           http.StatusUnauthorized,
		"Bearer " + testToken:          http.StatusServiceUnavailable, // not attached
		"Bearer  " + testToken:         http.StatusUnauthorized,
		"Bearer " + testToken + "\x00": http.StatusUnauthorized,
	} {
		r := request(http.MethodGet, "/api/info", "")
		r.Header.Set("Authorization", header)
		resp := do(c, r)
		assert.Equal(t, want, resp.StatusCode, "%q", header)
		if want == http.StatusUnauthorized {
			assert.Equal(t, "token", problemOf(t, resp).SignIn)
		}
	}
}

func TestSignInAndOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := tokenConsole(t)
		mounted := http.StripPrefix("/admin/console", c)
		state := func(cookie *http.Cookie) string {
			r := request(http.MethodGet, "/admin/console/api/session-state", "")
			if cookie != nil {
				r.AddCookie(cookie)
			}
			var body [200]byte
			n, _ := do(mounted, r).Body.Read(body[:])
			return string(body[:n])
		}
		assert.JSONEq(t, `{"signedIn":false,"methods":["token"]}`, state(nil))
		wrong := do(mounted, request(http.MethodPost, "/admin/console/api/sign-in", `{"token":"not this one, is it"}`))
		assert.Equal(t, http.StatusUnauthorized, wrong.StatusCode)
		assert.Empty(t, wrong.Cookies())

		r := request(http.MethodPost, "/admin/console/api/sign-in", fmt.Sprintf(`{"token":%q}`, testToken))
		r.RequestURI = "/admin/console/api/sign-in"
		resp := do(mounted, r)
		require.Equal(t, http.StatusNoContent, resp.StatusCode)
		require.Len(t, resp.Cookies(), 1)
		cookie := resp.Cookies()[0]
		assert.Equal(t, "/admin/console", cookie.Path)
		assert.True(t, cookie.HttpOnly)
		assert.False(t, cookie.Secure)
		assert.Equal(t, http.SameSiteStrictMode, cookie.SameSite)
		assert.NotContains(t, cookie.Value, testToken)
		assert.JSONEq(t, `{"signedIn":true,"methods":["token"]}`, state(cookie))
		assert.JSONEq(t, `{"signedIn":false,"methods":["token"]}`, state(&http.Cookie{Name: cookieName, Value: cookie.Value + "x"}))

		out := request(http.MethodPost, "/admin/console/api/sign-out", "")
		out.AddCookie(cookie)
		assert.Equal(t, http.StatusNoContent, do(mounted, out).StatusCode)
		assert.JSONEq(t, `{"signedIn":false,"methods":["token"]}`, state(cookie))

		r = request(http.MethodPost, "https://example.com/api/sign-in", fmt.Sprintf(`{"token":%q}`, testToken))
		r.TLS, r.RequestURI = new(tls.ConnectionState), "/api/sign-in"
		cookie = do(c, r).Cookies()[0]
		assert.True(t, cookie.Secure)
		assert.Equal(t, "/", cookie.Path)
		time.Sleep(signedInTime - time.Second)
		assert.JSONEq(t, `{"signedIn":true,"methods":["token"]}`, state(cookie))
		time.Sleep(time.Second)
		assert.JSONEq(t, `{"signedIn":false,"methods":["token"]}`, state(cookie))
	})
}

func TestSignInsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newTokenAuthorizer(testToken)
		first := a.signIn()
		var last string
		for range maxSignedIn {
			time.Sleep(time.Second)
			last = a.signIn()
		}
		assert.False(t, a.knows(first), "the oldest sign-in makes room")
		assert.True(t, a.knows(last))
		assert.Len(t, a.signedIn, maxSignedIn)
	})
}

func TestGuessesAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := tokenConsole(t)
		try := func(address, token string) int {
			r := request(http.MethodPost, "/api/sign-in", fmt.Sprintf(`{"token":%q}`, token))
			r.RemoteAddr = address
			return do(c, r).StatusCode
		}
		for range guesses {
			assert.Equal(t, http.StatusUnauthorized, try("192.0.2.1:1", "wrong"))
		}
		assert.Equal(t, http.StatusTooManyRequests, try("192.0.2.1:2", "wrong"), "whatever the port")
		assert.Equal(t, http.StatusTooManyRequests, try("192.0.2.1:2", testToken))
		assert.Equal(t, http.StatusNoContent, try("192.0.2.2:1", testToken), "others are not held up")
		time.Sleep(time.Minute)
		assert.Equal(t, http.StatusNoContent, try("192.0.2.1:2", testToken))
		r := request(http.MethodPost, "/api/sign-in", "")
		for i := range maxGuessers + 10 {
			r.RemoteAddr = fmt.Sprintf("10.0.%d.%d:1", i/256, i%256)
			assert.Error(t, c.auth.(*tokenAuthorizer).check(r, "wrong"))
		}
		assert.LessOrEqual(t, len(c.auth.(*tokenAuthorizer).guessers), maxGuessers)
	})
}

func TestLoopbackOnly(t *testing.T) {
	for _, test := range []struct {
		peer, host string
		header     http.Header
		allowed    bool
	}{
		{"127.0.0.1:5000", "localhost:8080", nil, true},
		{"127.0.0.1:5000", "127.0.0.1:8080", nil, true},
		{"127.3.2.1:5000", "LOCALHOST", nil, true},
		{"[::1]:5000", "[::1]:8080", nil, true},
		{"[::1]:5000", "[::1]", nil, true},
		{"[::ffff:127.0.0.1]:5000", "console.localhost:1", nil, true},
		{"127.0.0.1:5000", "localhost.:8080", nil, true},

		{"192.0.2.1:5000", "localhost:8080", nil, false},
		{"[2001:db8::1]:5000", "localhost", nil, false},
		{"127.0.0.1:5000", "evil.example:8080", nil, false}, // its name points here
		{"127.0.0.1:5000", "localhost.evil.example", nil, false},
		{"127.0.0.1:5000", "127.0.0.1.nip.io", nil, false},
		{"127.0.0.1:5000", "notlocalhost", nil, false},
		{"127.0.0.1:5000", "", nil, false},
		{"", "localhost", nil, false},
		{"@", "localhost", nil, false},
		{"localhost:5000", "localhost", nil, false},
		{"127.0.0.1:5000", "localhost", http.Header{"X-Forwarded-For": {"127.0.0.1"}}, false},
		{"127.0.0.1:5000", "localhost", http.Header{"X-Forwarded-Anything": {""}}, false},
		{"127.0.0.1:5000", "localhost", http.Header{"Forwarded": {"for=127.0.0.1"}}, false},
		{"127.0.0.1:5000", "localhost", http.Header{"Via": {"1.1 proxy"}}, false},
		{"127.0.0.1:5000", "localhost", http.Header{"X-Real-Ip": {"127.0.0.1"}}, false},
	} {
		c, err := New(WithLoopbackOnly())
		require.NoError(t, err)
		r := request(http.MethodGet, "/api/info", "")
		r.RemoteAddr, r.Host = test.peer, test.host
		for name, values := range test.header {
			r.Header[name] = values
		}
		resp := do(c, r)
		if test.allowed {
			assert.Equal(t, http.StatusServiceUnavailable, resp.StatusCode, "%+v: allowed, and not attached", test)
		} else {
			assert.Equal(t, http.StatusForbidden, resp.StatusCode, "%+v", test)
			assert.Equal(t, "forbidden", problemOf(t, resp).Code)
		}
	}
}

func TestTheProgramDecides(t *testing.T) {
	c, err := New(WithAuthorization(func(r *http.Request) error {
		if r.Header.Get("X-Operator") != "ann" {
			return errors.New("secret reason: no such operator")
		}
		return nil
	}))
	require.NoError(t, err)
	r := request(http.MethodGet, "/api/now", "")
	resp := do(c, r)
	assert.Equal(t, http.StatusForbidden, resp.StatusCode)
	p := problemOf(t, resp)
	assert.NotContains(t, p.Error, "secret reason")
	assert.Empty(t, p.SignIn)
	r.Header.Set("X-Operator", "ann")
	assert.Equal(t, http.StatusServiceUnavailable, do(c, r).StatusCode)
	assert.Equal(t, http.StatusNotFound, do(c, request(http.MethodPost, "/api/sign-in", `{"token":"x"}`)).StatusCode)
}

func TestForeignPagesAreKeptOut(t *testing.T) {
	d := newDesk(t, nil)
	for _, test := range []struct {
		name   string
		change func(*http.Request)
		get    int
		post   int
	}{
		{"its own page", func(*http.Request) {}, 200, 200},
		{"no browser", func(r *http.Request) { r.Header.Del("Sec-Fetch-Site") }, 200, 200},
		{"typed into the address bar", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "none") }, 200, 200},
		{"another site", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, 403, 403},
		{"a page of the same site", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") }, 403, 403},
		{"without the header", func(r *http.Request) { r.Header.Del(csrfHeader) }, 200, 403},
		{"an old browser on another site", func(r *http.Request) {
			r.Header.Del("Sec-Fetch-Site")
			r.Header.Set("Origin", "https://evil.example")
		}, 200, 403},
		{"no origin that has a name", func(r *http.Request) {
			r.Header.Del("Sec-Fetch-Site")
			r.Header.Set("Origin", "null")
		}, 200, 403},
		{"an old browser on its own page", func(r *http.Request) {
			r.Header.Del("Sec-Fetch-Site")
			r.Header.Set("Origin", "http://example.com")
		}, 200, 200},
	} {
		r := request(http.MethodGet, "/api/armed", "")
		test.change(r)
		assert.Equal(t, test.get, do(d.Console, r).StatusCode, test.name)
		r = request(http.MethodPost, "/api/user/terminate", `{"app":"1","user":"ann"}`)
		test.change(r)
		assert.Equal(t, test.post, do(d.Console, r).StatusCode, test.name)
	}
}

package pusher

import (
	"crypto/md5"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
)

// documented is the app of the examples in Pusher's documentation.
var documented = &App{ID: "3", Key: "278d425bdf160c739803", Secret: "7ad3773142a6692b25b8"}

// TestDocumentedSignatures has the examples of
// https://pusher.com/docs/channels/library_auth_reference/auth-signatures/.
func TestDocumentedSignatures(t *testing.T) {
	signed := func(auth string, err error) string {
		require.NoError(t, err)
		return auth
	}
	assert.Equal(t, "278d425bdf160c739803:58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4",
		signed(SignChannel(documented, "1234.1234", "private-foobar", "")))
	assert.Equal(t, "278d425bdf160c739803:31935e7d86dba64c2a90aed31fdc61869f9b22ba9d8863bba239c03ca481bc80",
		signed(SignChannel(documented, "1234.1234", "presence-foobar", `{"user_id":10,"user_info":{"name":"Mr. Channels"}}`)))
	assert.Equal(t, "278d425bdf160c739803:4708d583dada6a56435fb8bc611c77c359a31eebde13337c16ab43aa6de336ba",
		signed(SignUser(documented, "1234.1234", `{"id":"12345"}`)))
}

// TestNothingIsSignedThatReadsTwoWays has, for each of the three signatures, what
// could stand for something else, and what nobody could use.
func TestNothingIsSignedThatReadsTwoWays(t *testing.T) {
	app := &App{Key: "key", Secret: "secret", Limits: Limits{UserInfoBytes: 10}}
	const user = `{"id":"ann"}`
	assert.Equal(t, UncheckedUserAuth(app, "1.2", user), UncheckedChannelAuth(app, "1.2", ":user::"+user, ""), "this is why")

	channel := func(socketID, name, data string) func() (string, error) {
		return func() (string, error) { return SignChannel(app, socketID, name, data) }
	}
	signIn := func(socketID, data string) func() (string, error) {
		return func() (string, error) { return SignUser(app, socketID, data) }
	}
	feed := func(names ...string) func() (string, error) {
		return func() (string, error) { return SignFeed(app, names, time.Now()) }
	}
	for name, c := range map[string]struct {
		sign func() (string, error)
		text string
	}{
		"a channel that is a sign-in":       {channel("1.2", ":user::"+user, ""), "channel"},
		"a socket ID that is a channel":     {channel("1.2:private-a", "private-b", ""), "socket_id"},
		"a socket ID that is a sign-in":     {channel("1.2::user:", user, ""), "socket_id"},
		"no socket ID":                      {channel("", "private-a", ""), "socket_id"},
		"a channel with data":               {channel("1.2", "private-a:x", ""), "channel"},
		"no channel":                        {channel("1.2", "", ""), "channel is empty"},
		"a channel that needs none":         {channel("1.2", "room", ""), "needs no authorization"},
		"a channel of a user":               {channel("1.2", "#server-to-user-a:b", ""), "needs no authorization"},
		"a member without an ID":            {channel("1.2", "presence-a", "{}"), "user_id is missing"},
		"a member that is no JSON":          {channel("1.2", "presence-a", "x"), "channel_data"},
		"a member with too much info":       {channel("1.2", "presence-a", `{"user_id":1,"user_info":"0123456789"}`), "user_info is too large"},
		"a sign-in with another's socket":   {signIn("1.2:private-a", user), "socket_id"},
		"a sign-in of no user":              {signIn("1.2", ""), "user_data"},
		"a sign-in without an ID":           {signIn("1.2", `{"user_id":"ann"}`), "user_data.id is empty"},
		"a sign-in with a number":           {signIn("1.2", `{"id":1}`), "user_data.id is not a string"},
		"a sign-in with too much info":      {signIn("1.2", `{"id":"ann","user_info":"0123456789"}`), "user_info is too large"},
		"a feed of a name that is two":      {feed("private-a\nprivate-b"), "channel"},
		"a feed of nothing":                 {feed(), "channels is empty"},
		"a feed of no name":                 {feed(""), "channel is empty"},
		"a feed of members":                 {feed("private-a", "presence-a"), "presence channel"},
		"a feed of a user's":                {feed("#server-to-user-ann"), "server-to-user channel"},
		"a feed of more than one could ask": {feed(strings.Split(manyChannels(MaxFeedChannels+1), ",")...), "limit is 20"},
	} {
		auth, err := c.sign()
		if assert.ErrorIs(t, err, broker.ErrInvalid, name) {
			assert.ErrorContains(t, err, c.text, name)
		}
		assert.Empty(t, auth, name)
	}
}

func TestTokensOfFeedsAreForTheirChannels(t *testing.T) {
	app := &App{Key: "key", Secret: "secret"}
	for _, signed := range [][]string{{"private-a,private-b"}, {"private-a", "private-b"}, {"private-b", "private-a", "private-b"}, {"private-a,", "private-b"}} {
		token, err := SignFeed(app, signed, time.Now().Add(time.Minute))
		require.NoError(t, err)
		for _, asked := range [][]string{{"private-a,private-b"}, {"private-a", "private-b"}, {"private-b", "private-a"}, {"private-a,", "private-b"}, {"private-a"}} {
			names := func(channels []string) []string { return slices.Compact(slices.Sorted(slices.Values(channels))) }
			if _, err := verifyFeed(app, asked, token); slices.Equal(names(signed), names(asked)) {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, ErrSignature, "%q signed, %q asked for", signed, asked)
			}
		}
	}
}

func TestVerifyChannelAuth(t *testing.T) {
	app := &App{Key: "key", Secret: "secret"}
	good := UncheckedChannelAuth(app, "1.2", "private-a", "")
	require.NoError(t, verifyChannelAuth(app, "1.2", "private-a", "", good))
	require.NoError(t, verifyChannelAuth(app, "1.2", "private-a", "", "key:"+strings.ToUpper(good[4:])))
	for name, verify := range map[string]func() error{
		"missing":        func() error { return verifyChannelAuth(app, "1.2", "private-a", "", "") },
		"no colon":       func() error { return verifyChannelAuth(app, "1.2", "private-a", "", good[4:]) },
		"another key":    func() error { return verifyChannelAuth(app, "1.2", "private-a", "", "yek"+good[3:]) },
		"another socket": func() error { return verifyChannelAuth(app, "1.3", "private-a", "", good) },
		"another name":   func() error { return verifyChannelAuth(app, "1.2", "private-b", "", good) },
		"data added":     func() error { return verifyChannelAuth(app, "1.2", "private-a", "{}", good) },
		"truncated":      func() error { return verifyChannelAuth(app, "1.2", "private-a", "", good[:len(good)-1]) },
		"user signature": func() error { return verifyUserAuth(app, "1.2", "private-a", good) },
	} {
		require.ErrorIs(t, verify(), ErrSignature, name)
		assert.NotContains(t, verify().Error(), "secret\"")
	}
}

// While a secret is changed, what was signed with either is good; what is signed here is
// signed with the first.
func TestOtherSecrets(t *testing.T) {
	app := &App{ID: "1", Key: "key", Secret: "new", OtherSecrets: []string{"older", "old"}}
	for secret, good := range map[string]bool{"new": true, "old": true, "older": true, "none": false, "": false} {
		by := &App{ID: "1", Key: "key", Secret: secret}
		feed := feedSignature(by, []string{"private-a"}, "9999999999")
		for what, err := range map[string]error{
			"channel": verifyChannelAuth(app, "1.2", "private-a", "", UncheckedChannelAuth(by, "1.2", "private-a", "")),
			"member":  verifyChannelAuth(app, "1.2", "presence-a", "{}", UncheckedChannelAuth(by, "1.2", "presence-a", "{}")),
			"user":    verifyUserAuth(app, "1.2", "{}", UncheckedUserAuth(by, "1.2", "{}")),
			"request": second(verifyQuery(app, signedRequest(by, "GET", "/apps/1/channels", "", nil))),
			"feed":    second(verifyFeed(app, []string{"private-a"}, "9999999999."+feed)),
		} {
			if good {
				require.NoError(t, err, "%s by %q", what, secret)
			} else {
				require.ErrorIs(t, err, ErrSignature, "%s by %q", what, secret)
			}
		}
	}
	signed, err := SignChannel(app, "1.2", "private-a", "")
	require.NoError(t, err)
	require.NoError(t, verifyChannelAuth(&App{Key: "key", Secret: "new"}, "1.2", "private-a", "", signed))
}

func second[T any](_ T, err error) error { return err }

// signedRequest is a request as SDKs make it: the parameters are signed as they
// are and sent encoded.
func signedRequest(app *App, method, path, body string, params url.Values) *http.Request {
	return signedAt(app, method, path, path, body, params, time.Now())
}

func signedAt(app *App, method, path, signedPath, body string, params url.Values, at time.Time) *http.Request {
	if params == nil {
		params = url.Values{}
	}
	params.Set("auth_key", app.Key)
	params.Set("auth_timestamp", strconv.FormatInt(at.Unix(), 10))
	params.Set("auth_version", "1.0")
	if body != "" {
		params.Set("body_md5", md5Hex([]byte(body)))
	}
	decoded, _ := url.QueryUnescape(params.Encode())
	params.Set("auth_signature", sign(app.Secret, method, "\n", signedPath, "\n", decoded))
	r := httptest.NewRequest(method, path+"?"+params.Encode(), strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	return r
}

func md5Hex(body []byte) string {
	sum := md5.Sum(body)
	return hex.EncodeToString(sum[:])
}

// verifyRequest checks a request and its body, as the handler does one after the
// other.
func verifyRequest(app *App, r *http.Request, body []byte) (url.Values, error) {
	query, err := verifyQuery(app, r)
	if err != nil {
		return nil, err
	}
	sum := md5.Sum(body)
	return query, verifyBody(query, body, sum[:])
}

// TestDocumentedRequest has the example of
// https://pusher.com/docs/channels/library_auth_reference/rest-api/#worked-authentication-example.
func TestDocumentedRequest(t *testing.T) {
	const body = `{"name":"foo","channels":["project-3"],"data":"{\"some\":\"data\"}"}`
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Unix(1353088179, 0)))
		r := httptest.NewRequest("POST", "/apps/3/events?body_md5=ec365a775a4cd0599faeb73354201b6f&auth_version=1.0"+
			"&auth_key=278d425bdf160c739803&auth_timestamp=1353088179"+
			"&auth_signature=da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c", nil)
		_, err := verifyRequest(documented, r, []byte(body))
		require.NoError(t, err)
		time.Sleep(TimestampWindow)
		_, err = verifyRequest(documented, r, []byte(body))
		require.NoError(t, err)
		time.Sleep(time.Second)
		_, err = verifyRequest(documented, r, []byte(body))
		require.ErrorIs(t, err, ErrTimestamp)
	})
}

func TestVerifyRequest(t *testing.T) {
	app := &App{ID: "1", Key: "key", Secret: "secret"}
	params := func() url.Values { return url.Values{"filter_by_prefix": {"presence-"}, "info": {"user_count,x=y z"}} }
	accepted := map[string]*http.Request{
		"plain":                  signedRequest(app, "GET", "/apps/1/channels", "", params()),
		"under a prefix":         signedAt(app, "GET", "/rt/apps/1/channels", "/apps/1/channels", "", params(), time.Now()),
		"prefix signed":          signedRequest(app, "GET", "/rt/apps/1/channels", "", params()),
		"prefix has apps in it":  signedAt(app, "GET", "/apps/x/apps/1/channels", "/apps/1/channels", "", params(), time.Now()),
		"encoded path signed":    signedRequest(app, "POST", "/apps/1/users/a%20b/terminate_connections", "", nil),
		"decoded path signed":    signedAt(app, "POST", "/apps/1/users/a%20b/terminate_connections", "/apps/1/users/a b/terminate_connections", "", nil, time.Now()),
		"clock behind":           signedAt(app, "GET", "/apps/1/channels", "/apps/1/channels", "", params(), time.Now().Add(-TimestampWindow+time.Second)),
		"body_md5 in upper case": signedRequest(app, "GET", "/apps/1/channels", "", url.Values{"info": {"user_count,x=y z"}, "body_md5": {strings.ToUpper(md5Hex(nil))}}),
		"clock ahead":            signedAt(app, "GET", "/apps/1/channels", "/apps/1/channels", "", params(), time.Now().Add(TimestampWindow-time.Second)),
	}
	stripped := signedRequest(app, "GET", "/rt/apps/1/channels", "", params())
	stripped.URL.Path = "/apps/1/channels"
	accepted["prefix stripped by a middleware"] = stripped
	raw := signedRequest(app, "GET", "/apps/1/channels", "", params())
	raw.URL.RawQuery = strings.NewReplacer("%2C", ",", "%3D", "=", "+", " ").Replace(raw.URL.RawQuery)
	accepted["values sent as they are"] = raw
	upper := signedRequest(app, "GET", "/apps/1/channels", "", params())
	upper.URL.RawQuery = strings.Replace(upper.URL.RawQuery, "info=", "INFO=", 1)
	accepted["keys in upper case"] = upper
	for name, r := range accepted {
		query, err := verifyRequest(app, r, nil)
		if assert.NoError(t, err, name) && r.Method == "GET" {
			assert.Equal(t, "user_count,x=y z", query.Get("info"), name)
		}
	}

	edit := func(r *http.Request, change func(url.Values)) *http.Request {
		q := r.URL.Query()
		change(q)
		r.URL.RawQuery = q.Encode()
		return r
	}
	base := func() *http.Request { return signedRequest(app, "GET", "/apps/1/channels", "", params()) }
	for name, c := range map[string]struct {
		r    *http.Request
		body string
		want error
		text string
	}{
		"no signature": {r: edit(base(), func(q url.Values) { q.Del("auth_signature") }), want: ErrSignature, text: "auth_signature is missing"},
		"no key":       {r: edit(base(), func(q url.Values) { q.Del("auth_key") }), want: ErrSignature, text: "auth_key is missing"},
		"another key":  {r: edit(base(), func(q url.Values) { q.Set("auth_key", "yek") }), want: ErrSignature, text: `auth_key "yek"`},
		"version":      {r: edit(base(), func(q url.Values) { q.Set("auth_version", "2.0") }), want: ErrSignature, text: `auth_version "2.0"`},
		"no number":    {r: edit(base(), func(q url.Values) { q.Set("auth_timestamp", "now") }), want: ErrTimestamp, text: "auth_timestamp"},
		"overflow":     {r: edit(base(), func(q url.Values) { q.Set("auth_timestamp", "-9223372036854775808") }), want: ErrTimestamp, text: "auth_timestamp"},
		"stale":        {r: signedAt(app, "GET", "/apps/1/channels", "/apps/1/channels", "", nil, time.Now().Add(-TimestampWindow-2*time.Second)), want: ErrTimestamp, text: "600 s"},
		"future":       {r: signedAt(app, "GET", "/apps/1/channels", "/apps/1/channels", "", nil, time.Now().Add(TimestampWindow+2*time.Second)), want: ErrTimestamp, text: "600 s"},
		"parameter":    {r: edit(base(), func(q url.Values) { q.Set("info", "user_count") }), want: ErrSignature, text: "auth_signature"},
		"path":         {r: signedAt(app, "GET", "/apps/1/channels", "/apps/1/channel", "", nil, time.Now()), want: ErrSignature, text: "auth_signature"},
		"no md5":       {r: base(), body: "{}", want: ErrSignature, text: "body_md5 is missing"},
		"other md5":    {r: signedRequest(app, "POST", "/apps/1/events", "{}", nil), body: "{ }", want: ErrSignature, text: "body_md5"},
		"secret":       {r: signedRequest(&App{Key: "key", Secret: "other"}, "GET", "/apps/1/channels", "", nil), want: ErrSignature, text: "auth_signature"},
	} {
		_, err := verifyRequest(app, c.r, []byte(c.body))
		if assert.ErrorIs(t, err, c.want, name) {
			assert.ErrorContains(t, err, c.text, name)
		}
	}
}

func TestEmptyBodyNeedsNoMD5ButAGivenOneIsChecked(t *testing.T) {
	app := &App{ID: "1", Key: "key", Secret: "secret"}
	r := signedRequest(app, "GET", "/apps/1/channels", "", url.Values{"body_md5": {md5Hex(nil)}})
	_, err := verifyRequest(app, r, nil)
	require.NoError(t, err)
	r = signedRequest(app, "GET", "/apps/1/channels", "", url.Values{"body_md5": {md5Hex([]byte("x"))}})
	_, err = verifyRequest(app, r, nil)
	require.ErrorIs(t, err, ErrSignature)
}

// FuzzVerifyRequest looks for requests that are accepted although nothing of them
// was signed with the secret, and for panics.
func FuzzVerifyRequest(f *testing.F) {
	f.Add("GET", "/apps/1/channels", "auth_key=key&auth_timestamp=1353088179&auth_version=1.0&auth_signature=00", "")
	f.Add("POST", "/rt/apps/1/events", "AUTH_KEY=key&a=b=c&d&%zz=%zz&auth_signature=", "{}")
	app := &App{ID: "1", Key: "key", Secret: "a secret that no input holds"}
	f.Fuzz(func(t *testing.T, method, path, query, body string) {
		r := &http.Request{Method: method, URL: &url.URL{Path: path, RawQuery: query}, RequestURI: path + "?" + query}
		if _, err := verifyRequest(app, r, []byte(body)); err == nil {
			t.Fatalf("%s %s?%s was accepted", method, path, query)
		}
	})
}

// FuzzSignedRequest looks for requests that are refused although they were signed
// as an SDK does it: with values encoded or sent as they are, and a path signed
// encoded, decoded or without the prefix.
func FuzzSignedRequest(f *testing.F) {
	f.Add("presence-a;b@c,d=e", "ann", "{}")
	f.Add("a b+c%20d&e#f?g", "a/b c%2F+ü", "")
	f.Add("", "/apps/1/events", "x")
	app := &App{ID: "1", Key: "key", Secret: "secret"}
	// What no SDK can send as it is.
	bare := strings.NewReplacer("%", "%25", "&", "%26", "+", "%2B", "#", "%23", " ", "%20")
	f.Fuzz(func(t *testing.T, value, userID, body string) {
		path := "/apps/1/users/" + userID + "/terminate_connections"
		escaped := "/apps/1/users/" + url.PathEscape(userID) + "/terminate_connections"
		auth := "auth_key=key&auth_timestamp=" + strconv.FormatInt(time.Now().Unix(), 10) + "&auth_version=1.0"
		if body != "" {
			auth += "&body_md5=" + md5Hex([]byte(body))
		}
		for _, signed := range []string{path, escaped, "/rt" + escaped} {
			signature := sign(app.Secret, "POST\n", signed, "\n", auth, "&filter=", value, "&filter=2")
			for _, sent := range []string{url.QueryEscape(value), bare.Replace(value)} {
				query := "Filter=" + sent + "&" + auth + "&filter=2&auth_signature=" + signature
				for _, full := range []string{"/rt" + escaped, escaped} {
					if signed != path && signed != escaped && signed != full {
						continue
					}
					r := &http.Request{Method: "POST", RequestURI: full + "?" + query, URL: &url.URL{RawQuery: query}}
					_, err := verifyRequest(app, r, []byte(body))
					require.NoError(t, err, "%s signed, %s sent", signed, r.RequestURI)
				}
			}
		}
	})
}

// FuzzVerifyAuth looks for auth strings that are accepted without the secret.
func FuzzVerifyAuth(f *testing.F) {
	f.Add("1.2", "private-a", "", "key:00")
	f.Add("1.2", "presence-a", `{"user_id":1}`, "key::")
	app := &App{ID: "1", Key: "key", Secret: "a secret that no input holds"}
	f.Fuzz(func(t *testing.T, socketID, channel, data, auth string) {
		if verifyChannelAuth(app, socketID, channel, data, auth) == nil || verifyUserAuth(app, socketID, data, auth) == nil {
			t.Fatalf("%q was accepted", auth)
		}
	})
}

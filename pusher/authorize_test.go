package pusher

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/transport/memory"
)

var authApp = &App{ID: "1", Key: "key", Secret: "secret", EncryptionMasterKey: []byte("0123456789abcdef0123456789abcdef")}

func askForm(h http.Handler, fields url.Values) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", "/pusher/auth", strings.NewReader(fields.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func askJSON(h http.Handler, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", "/pusher/auth", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestAuthHandler(t *testing.T) {
	h := NewAuthHandler(authApp, func(r *http.Request, req AuthRequest) (*broker.Member, error) {
		switch {
		case strings.HasSuffix(req.Channel, "-secret"):
			return nil, broker.Refuse(http.StatusUnauthorized, "log in first")
		case strings.HasSuffix(req.Channel, "-broken"):
			return nil, errors.New("dial tcp 10.0.0.1:5432: connection refused")
		case strings.HasSuffix(req.Channel, "-nobody"):
			return nil, nil
		case req.Kind.Base() == broker.Presence:
			return &broker.Member{UserID: "ann", Info: []byte(`{"name": "Ann"}`)}, nil
		}
		return nil, nil
	})
	ask := func(channel string) *httptest.ResponseRecorder {
		return askForm(h, url.Values{"socket_id": {"1.2"}, "channel_name": {channel}})
	}
	decode := func(w *httptest.ResponseRecorder) (a subscriptionAuth) {
		t.Helper()
		require.Equal(t, 200, w.Code, w.Body)
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &a))
		return a
	}
	private := ask("private-a")
	assert.Equal(t, "no-store", private.Header().Get("Cache-Control"))
	assert.Equal(t, subscriptionAuth{Auth: UncheckedChannelAuth(authApp, "1.2", "private-a", "")}, decode(private))
	assert.Equal(t, decode(private), decode(askJSON(h, `{"socket_id":"1.2","channel_name":"private-a"}`)))

	member := `{"user_id":"ann","user_info":{"name":"Ann"}}`
	assert.Equal(t, subscriptionAuth{Auth: UncheckedChannelAuth(authApp, "1.2", "presence-a", member), ChannelData: member}, decode(ask("presence-a")))

	secret := sharedSecret(authApp, "private-encrypted-a")
	assert.Equal(t, subscriptionAuth{Auth: UncheckedChannelAuth(authApp, "1.2", "private-encrypted-a", ""),
		SharedSecret: base64.StdEncoding.EncodeToString(secret[:])}, decode(ask("private-encrypted-a")))

	for _, c := range []struct {
		w      *httptest.ResponseRecorder
		status int
		text   string
	}{
		{ask("private-secret"), 401, "log in first"},
		{ask("private-broken"), 403, `{"error":"forbidden"}`},
		{ask("presence-nobody"), 500, "needs a member"},
		{ask("room"), 400, "needs no authorization"},
		{ask("#server-to-user-ann"), 400, "needs no authorization"},
		{ask(""), 400, "channel_name: channel is empty"},
		{ask("private-b b"), 400, "character"},
		{askForm(h, url.Values{"channel_name": {"private-a"}}), 400, "socket_id"},
		{askForm(h, url.Values{"socket_id": {"1.2:private-b"}, "channel_name": {"private-a"}}), 400, "socket_id"},
		{askJSON(h, `{"socket_id":1}`), 400, "socket_id is not a string"},
		{askJSON(h, `{"socket_id":"1.2","channel_name":"private-a\ud800"}`), 400, "channel_name holds half of a surrogate pair"},
		{askJSON(h, `nonsense`), 400, "JSON"},
		{askJSON(h, `{"socket_id":"`+strings.Repeat("1", maxAuthBody)+`"}`), 413, "limit is 65536 bytes"},
	} {
		assert.Equal(t, c.status, c.w.Code, c.w.Body)
		assert.Contains(t, c.w.Body.String(), c.text)
		assert.NotContains(t, c.w.Body.String(), "10.0.0.1")
	}
	assert.Equal(t, 200, askJSON(h, `{"socket_id":"1.2","channel_name":"private-a"`+strings.Repeat(" ", maxAuthBody-47)+`}`).Code)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("PUT", "/pusher/auth", nil))
	assert.Equal(t, 405, w.Code)
	assert.Equal(t, "GET, HEAD, POST", w.Header().Get("Allow"))
}

// TestAuthHandlersLeaveTheBodyToTheFunction is about what pages add to the
// request with the params of channelAuthorization and userAuthentication.
func TestAuthHandlersLeaveTheBodyToTheFunction(t *testing.T) {
	tokenOf := func(r *http.Request) string {
		if r.Header.Get("Content-Type") == "application/x-www-form-urlencoded" {
			return r.FormValue("token")
		}
		var body struct{ Token string }
		assert.NoError(t, json.NewDecoder(r.Body).Decode(&body))
		return body.Token
	}
	channels := NewAuthHandler(authApp, func(r *http.Request, _ AuthRequest) (*broker.Member, error) {
		return &broker.Member{UserID: tokenOf(r)}, nil
	})
	users := NewUserAuthHandler(authApp, func(r *http.Request) (*broker.User, error) {
		return &broker.User{ID: tokenOf(r)}, nil
	})
	parsed := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.NoError(t, r.ParseForm())
		channels.ServeHTTP(w, r)
	})
	form := url.Values{"socket_id": {"1.2"}, "channel_name": {"private-a"}, "token": {"ann"}}
	const body = `{"socket_id":"1.2","channel_name":"private-a","token":"ann"}`
	for name, w := range map[string]*httptest.ResponseRecorder{
		"form": askForm(channels, form), "JSON": askJSON(channels, body),
		"user form": askForm(users, form), "user JSON": askJSON(users, body),
		"form parsed by a middleware": askForm(parsed, form), "JSON after a middleware": askJSON(parsed, body),
	} {
		assert.Equal(t, 200, w.Code, name)
		assert.Contains(t, w.Body.String(), `\"ann\"`, name)
	}
}

// FuzzAuthBody feeds bodies to the endpoints, as forms and as JSON. Whatever is
// signed is good for what was asked for.
func FuzzAuthBody(f *testing.F) {
	f.Add(false, []byte("socket_id=1.2&channel_name=presence-a"))
	f.Add(true, []byte(`{"socket_id":"1.2","channel_name":"private-encrypted-a"}`))
	f.Add(false, []byte("socket_id=1.2%0A&channel_name=private-a:b"))
	f.Add(true, []byte(`{"socket_id":"1.2","Socket_ID":"1.3","channel_name":"\ud800"}`))
	f.Add(true, []byte(`{"socket_id":"1.2","channel_name":["private-a","presence-b","c"]}`))
	f.Add(false, []byte("socket_id=1.2&channel_name%5B1%5D=private-a&channel_name[0]=presence-b"))
	var asked AuthRequest
	channels := NewAuthHandler(authApp, func(_ *http.Request, req AuthRequest) (*broker.Member, error) {
		asked = req
		return &broker.Member{UserID: "ann"}, nil
	})
	users := NewUserAuthHandler(authApp, func(*http.Request) (*broker.User, error) { return &broker.User{ID: "ann"}, nil })
	f.Fuzz(func(t *testing.T, isJSON bool, body []byte) {
		for _, h := range []http.Handler{channels, users} {
			r := httptest.NewRequest("POST", "/", bytes.NewReader(body))
			if isJSON {
				r.Header.Set("Content-Type", "application/json")
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			var answer struct {
				Error, Auth string
				ChannelData string `json:"channel_data"`
			}
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
			switch {
			case w.Code != 200:
				require.NotEmpty(t, answer.Error)
			case answer.ChannelData != "":
				require.NoError(t, broker.CheckChannelName(asked.Channel))
				require.NoError(t, verifyChannelAuth(authApp, asked.SocketID, asked.Channel, answer.ChannelData, answer.Auth))
			case answer.Auth == "":
				var verdicts map[string]struct {
					Status int
					Error  string
					Data   subscriptionAuth
				}
				require.NoError(t, json.Unmarshal(w.Body.Bytes(), &verdicts))
				for channel, v := range verdicts {
					if v.Status != 200 {
						require.NotEmpty(t, v.Error)
						continue
					}
					require.NoError(t, broker.CheckChannelName(channel))
					require.NoError(t, verifyChannelAuth(authApp, asked.SocketID, channel, v.Data.ChannelData, v.Data.Auth))
				}
			}
		}
	})
}

func TestAuthHandlerWithoutMasterKey(t *testing.T) {
	h := NewAuthHandler(&App{Key: "key", Secret: "secret"}, func(*http.Request, AuthRequest) (*broker.Member, error) { return nil, nil })
	w := askForm(h, url.Values{"socket_id": {"1.2"}, "channel_name": {"private-encrypted-a"}})
	assert.Equal(t, 500, w.Code)
	assert.Contains(t, w.Body.String(), "encryption master key")
}

func TestUserAuthHandler(t *testing.T) {
	user := &broker.User{ID: "ann", Info: []byte(`{"name":"Ann"}`), Watchlist: []string{"bob"}}
	h := NewUserAuthHandler(authApp, func(*http.Request) (*broker.User, error) { return user, nil })
	w := askForm(h, url.Values{"socket_id": {"1.2"}})
	require.Equal(t, 200, w.Code)
	var answer struct {
		Auth     string `json:"auth"`
		UserData string `json:"user_data"`
	}
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
	assert.Equal(t, `{"id":"ann","user_info":{"name":"Ann"},"watchlist":["bob"]}`, answer.UserData)
	assert.NoError(t, verifyUserAuth(authApp, "1.2", answer.UserData, answer.Auth))
	user = nil
	assert.Equal(t, 403, askForm(h, url.Values{"socket_id": {"1.2"}}).Code)
	user = &broker.User{}
	assert.Equal(t, 500, askForm(h, url.Values{"socket_id": {"1.2"}}).Code)
}

func TestHandlersNeedAFunction(t *testing.T) {
	assert.Panics(t, func() { NewAuthHandler(authApp, nil) })
	assert.Panics(t, func() { NewUserAuthHandler(authApp, nil) })
}

// TestAuthorizationsOfTheHandlerEnd for all kinds of channels: the end is part of what
// is signed, and clients hand it on.
func TestAuthorizationsOfTheHandlerEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPITest(t)
		a.app.AuthorizationLifetime = 10 * time.Minute
		h := NewAuthHandler(a.app, func(_ *http.Request, req AuthRequest) (*broker.Member, error) {
			if req.Kind.Base() == broker.Presence {
				return &broker.Member{UserID: "ann"}, nil
			}
			return nil, nil
		})
		for _, channel := range []string{"private-a", "private-encrypted-a", "presence-a"} {
			c := Connect(t, a.handler.Open(t.Context(), Dial{Key: a.app.Key, Protocol: "7"}), memory.WithSignsOfLife())
			w := askForm(h, url.Values{"socket_id": {socketIDOf(t, c)}, "channel_name": {channel}})
			require.Equal(t, 200, w.Code, w.Body)
			var answer map[string]string
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
			answer["channel"] = channel
			subscribe, err := json.Marshal(map[string]any{"event": "pusher:subscribe", "data": answer})
			require.NoError(t, err)
			require.NoError(t, c.Send(subscribe))
			assert.Contains(t, next(t, c), "pusher_internal:subscription_succeeded")
			time.Sleep(9*time.Minute - 2*time.Second)
			synctest.Wait()
			none(t, c)
			code, _ := c.CloseStatus()
			assert.Zero(t, code, "it is up to a tenth early")
			time.Sleep(time.Minute + 3*time.Second)
			synctest.Wait()
			code, reason := c.CloseStatus()
			assert.Equal(t, 4200, code)
			assert.Contains(t, reason, "expired")
		}
	})
}

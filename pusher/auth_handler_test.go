package pusher

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
)

func multipartForm(t *testing.T, fields ...string) (contentType, body string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for i := 0; i < len(fields); i += 2 {
		require.NoError(t, w.WriteField(fields[i], fields[i+1]))
	}
	file, err := w.CreateFormFile("file", "avatar.png")
	require.NoError(t, err)
	_, err = file.Write([]byte("socket_id=9.9"))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return w.FormDataContentType(), b.String()
}

// TestAuthHandlersReadWhatClientsSend asks for the same in all the ways in which
// pusher-js and Laravel Echo can be told to.
func TestAuthHandlersReadWhatClientsSend(t *testing.T) {
	var token string
	channels := NewAuthHandler(authApp, func(r *http.Request, _ AuthRequest) (*broker.Member, error) {
		token = r.FormValue("token")
		if r.Header.Get("Content-Type") == "application/vnd.api+json" {
			var body struct{ Token string }
			assert.NoError(t, json.NewDecoder(r.Body).Decode(&body))
			token = body.Token
		}
		return nil, nil
	})
	const form = "socket_id=1.2&channel_name=private-a&token=ann"
	multiType, multi := multipartForm(t, "socket_id", "1.2", "channel_name", "private-a", "token", "ann")
	for name, c := range map[string]struct{ method, query, contentType, body string }{
		"form":               {"POST", "", "application/x-www-form-urlencoded", form},
		"charset":            {"POST", "", "application/x-www-form-urlencoded; charset=UTF-8", form},
		"multipart":          {"POST", "", multiType, multi},
		"JSON of any type":   {"POST", "", "application/vnd.api+json", `{"socket_id":"1.2","channel_name":"private-a","token":"ann"}`},
		"query":              {"POST", form, "", ""},
		"query of a GET":     {"GET", form, "", ""},
		"query and JSON":     {"POST", form, "application/json", "{}"},
		"query and no JSON":  {"POST", form, "application/json", ""},
		"half in the query":  {"POST", "socket_id=1.2&token=ann", "application/x-www-form-urlencoded", "channel_name=private-a"},
		"body before query":  {"POST", "socket_id=3.4&channel_name=private-b", "application/x-www-form-urlencoded", form},
		"multipart, queried": {"POST", "channel_name=private-b", multiType, multi},
	} {
		t.Run(name, func(t *testing.T) {
			token = ""
			r := httptest.NewRequest(c.method, "/pusher/auth?"+c.query, strings.NewReader(c.body))
			r.Header.Set("Content-Type", c.contentType)
			w := httptest.NewRecorder()
			channels.ServeHTTP(w, r)
			assert.Equal(t, 200, w.Code, w.Body)
			assert.JSONEq(t, fmt.Sprintf(`{"auth":%q}`, UncheckedChannelAuth(authApp, "1.2", "private-a", "")), w.Body.String())
			assert.Equal(t, "ann", token)
		})
	}
	for text, w := range map[string]*httptest.ResponseRecorder{
		"multipart form":     ask(channels, "multipart/form-data; boundary=x", multi),
		"multipart form: ":   ask(channels, "multipart/form-data", multi),
		"is not a string":    ask(channels, "application/json", `{"socket_id":"1.2","channel_name":{}}`),
		"is not a list":      ask(channels, "application/json", `{"socket_id":"1.2","channel_name":[1]}`),
		"limit is 100":       ask(channels, "application/x-www-form-urlencoded", "socket_id=1.2"+strings.Repeat("&channel_name[]=private-a", 101)),
		"not a valid form":   ask(channels, "text/plain", "socket_id=%zz"),
		"socket_id is":       ask(channels, "", ""),
		"channel_name: chan": ask(channels, "", "socket_id=1.2"),
	} {
		assert.Equal(t, 400, w.Code, text)
		assert.Contains(t, w.Body.String(), text)
	}
}

func ask(h http.Handler, contentType, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", "/pusher/auth", strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// TestSeveralChannelsInOneRequest answers as the plugin pusher-js-auth expects.
func TestSeveralChannelsInOneRequest(t *testing.T) {
	asked := 0
	h := NewAuthHandler(authApp, func(r *http.Request, req AuthRequest) (*broker.Member, error) {
		asked++
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		assert.NotEmpty(t, body, "each may read the body")
		switch req.Channel {
		case "private-no":
			return nil, broker.Refuse(http.StatusUnauthorized, "log in first")
		case "private-broken":
			return nil, assert.AnError
		}
		return &broker.Member{UserID: "ann"}, nil
	})
	const member = `{\"user_id\":\"ann\"}`
	signed := func(channel string) string {
		return fmt.Sprintf(`{"status":200,"data":{"auth":%q,"channel_data":"%s"}}`, UncheckedChannelAuth(authApp, "1.2", channel, `{"user_id":"ann"}`), member)
	}
	want := `{"private-a":` + signed("private-a") + `,"presence-b":` + signed("presence-b") + `,"private-no":{"status":401,"error":"log in first"},
		"private-broken":{"status":403,"error":"forbidden"},"room":{"status":400,"error":"channel_name: channel \"room\" is a public channel, which needs no authorization"}}`
	names := []string{"private-a", "presence-b", "private-no", "private-broken", "room", "private-a"}
	var indexed, empty, repeated []string
	for i, name := range names {
		indexed = append(indexed, fmt.Sprintf("channel_name[%d]=%s", i, name))
		empty = append(empty, "channel_name[]="+name)
		repeated = append(repeated, "channel_name="+name)
	}
	list, err := json.Marshal(names)
	require.NoError(t, err)
	multi := []string{"socket_id", "1.2"}
	for i, name := range names {
		multi = append(multi, fmt.Sprintf("channel_name[%d]", i), name)
	}
	multiType, multiBody := multipartForm(t, multi...)
	const form = "application/x-www-form-urlencoded"
	for name, w := range map[string]*httptest.ResponseRecorder{
		"numbered":  ask(h, form, "socket_id=1.2&"+strings.Join(indexed, "&")),
		"brackets":  ask(h, form, "socket_id=1.2&"+strings.Join(empty, "&")),
		"repeated":  ask(h, form, "socket_id=1.2&"+strings.Join(repeated, "&")),
		"escaped":   ask(h, form, "socket_id=1.2&"+strings.NewReplacer("[", "%5B", "]", "%5D").Replace(strings.Join(indexed, "&"))),
		"JSON":      ask(h, "application/json", `{"socket_id":"1.2","channel_name":`+string(list)+`}`),
		"multipart": ask(h, multiType, multiBody),
	} {
		assert.Equal(t, 200, w.Code, name)
		got := w.Body.String()
		if i := strings.Index(got, "channel_name: "); assert.Positive(t, i, name) {
			assert.JSONEq(t, want, got, name)
		}
	}
	assert.Equal(t, 4*6, asked, "each channel once")
	one := ask(h, form, "socket_id=1.2&channel_name[0]=private-a")
	assert.JSONEq(t, `{"private-a":`+signed("private-a")+`}`, one.Body.String())
}

func TestAuthHandlersAcrossOrigins(t *testing.T) {
	app := *authApp
	app.AllowedOrigins = []string{"https://*.page.example", "null"}
	anybody := app
	anybody.AllowedOrigins = []string{"*", "https://page.example"}
	authorize := func(*http.Request, AuthRequest) (*broker.Member, error) { return nil, nil }
	user := func(*http.Request) (*broker.User, error) { return &broker.User{ID: "ann"}, nil }
	for name, c := range map[string]struct {
		h              *AuthHandler
		origin         string
		allow, cookies string
	}{
		"listed":               {NewAuthHandler(&app, authorize, WithCORS()), "https://a.page.example:443", "https://a.page.example:443", "true"},
		"of users":             {NewUserAuthHandler(&app, user, WithCORS()), "https://a.page.example", "https://a.page.example", "true"},
		"not listed":           {NewAuthHandler(&app, authorize, WithCORS()), "https://evil.example", "", ""},
		"opaque":               {NewAuthHandler(&app, authorize, WithCORS()), "null", "*", ""},
		"anybody":              {NewAuthHandler(&anybody, authorize, WithCORS()), "https://evil.example", "*", ""},
		"somebody and anybody": {NewAuthHandler(&anybody, authorize, WithCORS()), "https://page.example", "https://page.example", "true"},
		"no list":              {NewAuthHandler(authApp, authorize, WithCORS()), "https://page.example", "", ""},
		"no option":            {NewAuthHandler(&app, authorize), "https://a.page.example", "", ""},
		"same origin":          {NewAuthHandler(&app, authorize, WithCORS()), "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			request := func(method, body string) *http.Request {
				r := httptest.NewRequest(method, "/pusher/auth", strings.NewReader(body))
				if c.origin != "" {
					r.Header.Set("Origin", c.origin)
				}
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				return r
			}
			w := httptest.NewRecorder()
			c.h.ServeHTTP(w, request("POST", url.Values{"socket_id": {"1.2"}, "channel_name": {"private-a"}}.Encode()))
			assert.Equal(t, 200, w.Code, w.Body)
			assert.Equal(t, c.allow, w.Header().Get("Access-Control-Allow-Origin"))
			assert.Equal(t, c.cookies, w.Header().Get("Access-Control-Allow-Credentials"))
			if name == "no option" {
				assert.NotContains(t, w.Header(), "Vary")
				return
			}
			assert.Equal(t, "Origin", w.Header().Get("Vary"))

			preflight := request("OPTIONS", "")
			preflight.Header.Set("Access-Control-Request-Headers", "x-csrf-token")
			w = httptest.NewRecorder()
			c.h.ServeHTTP(w, preflight)
			assert.Equal(t, 204, w.Code)
			assert.Equal(t, c.allow, w.Header().Get("Access-Control-Allow-Origin"))
			assert.Equal(t, c.allow != "", w.Header().Get("Access-Control-Allow-Headers") == "x-csrf-token")

			// Refusals can be read as well.
			w = httptest.NewRecorder()
			c.h.ServeHTTP(w, request("POST", ""))
			assert.Equal(t, 400, w.Code)
			assert.Equal(t, c.allow, w.Header().Get("Access-Control-Allow-Origin"))
		})
	}
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/carillon-rt/carillon/storage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// site is the program behind a test server.
type site struct {
	t    *testing.T
	chat *chat
	url  string
}

func newSite(t *testing.T) *site {
	t.Helper()
	c, err := newChat("test-secret")
	require.NoError(t, err)
	server := httptest.NewServer(c.routes(fstest.MapFS{"index.html": {Data: []byte("<title>chat</title>")}}))
	t.Cleanup(func() {
		server.Close()
		assert.NoError(t, c.realtime.Shutdown(context.Background()))
	})
	return &site{t: t, chat: c, url: server.URL}
}

// visitor is a browser that keeps its cookies.
type visitor struct {
	site   *site
	client *http.Client
}

func (s *site) visitor() *visitor {
	jar, err := cookiejar.New(nil)
	require.NoError(s.t, err)
	transport := &http.Transport{}
	s.t.Cleanup(transport.CloseIdleConnections)
	return &visitor{site: s, client: &http.Client{Jar: jar, Transport: transport}}
}

func (s *site) signedIn(name string) *visitor {
	v := s.visitor()
	status, _ := v.call("POST", "/api/session", map[string]string{"name": name}, nil)
	require.Equal(s.t, http.StatusOK, status)
	return v
}

// call sends body as JSON, or as it is if it is a string.
func (v *visitor) call(method, path string, body, answer any) (status int, raw string) {
	t := v.site.t
	t.Helper()
	var r io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		r = strings.NewReader(b)
	default:
		data, err := json.Marshal(b)
		require.NoError(t, err)
		r = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, v.site.url+path, r)
	require.NoError(t, err)
	resp, err := v.client.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	if answer != nil {
		require.NoError(t, json.Unmarshal(data, answer), "%s", data)
	}
	return resp.StatusCode, string(data)
}

const messagesPath = "/api/rooms/lobby/messages"

func (v *visitor) post(text, clientID string) (status int, raw string) {
	return v.call("POST", messagesPath, map[string]string{"text": text, "client_id": clientID}, nil)
}

type problem struct {
	Error struct{ Field, Message string }
}

func TestNamesAreChecked(t *testing.T) {
	s := newSite(t)
	for name, c := range map[string]struct {
		body    any
		status  int
		field   string
		message string
	}{
		"empty":        {map[string]string{"name": " \t"}, 400, "name", "name is empty"},
		"too long":     {map[string]string{"name": strings.Repeat("é", 41)}, 400, "name", "name is too long: 41 characters, the limit is 40"},
		"invisible":    {map[string]string{"name": "a\u202eb"}, 400, "name", "name has characters that cannot be shown"},
		"only joiners": {map[string]string{"name": "\u200d \u200c\ufe0f"}, 400, "name", "name has nothing that can be shown"},
		"no JSON":      {"name=ada", 400, "body", "body is not a JSON object"},
		"wrong type":   {`{"name":1}`, 400, "name", "name is a number, not a string"},
		"body too big": {`{"name":"` + strings.Repeat("a", maxBody) + `"}`, 413, "body", "body is too large: the limit is 16384 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			var p problem
			status, _ := s.visitor().call("POST", "/api/session", c.body, &p)
			assert.Equal(t, c.status, status)
			assert.Equal(t, c.field, p.Error.Field)
			assert.Equal(t, c.message, p.Error.Message)
		})
	}
}

func TestSessionIsKept(t *testing.T) {
	s := newSite(t)
	v := s.visitor()
	status, _ := v.call("GET", "/api/session", nil, nil)
	assert.Equal(t, http.StatusUnauthorized, status)

	var first, kept, renamed user
	status, _ = v.call("POST", "/api/session", map[string]string{"name": "  Ada \n Lovelace "}, &first)
	assert.Equal(t, http.StatusOK, status)
	assert.Equal(t, "Ada Lovelace", first.Name)
	assert.NotEmpty(t, first.ID)
	v.call("GET", "/api/session", nil, &kept)
	assert.Equal(t, first, kept)
	v.call("POST", "/api/session", map[string]string{"name": "Ada"}, &renamed)
	assert.Equal(t, user{ID: first.ID, Name: "Ada"}, renamed)

	status, _ = v.call("DELETE", "/api/session", nil, nil)
	assert.Equal(t, http.StatusNoContent, status)
	status, _ = v.call("GET", "/api/session", nil, nil)
	assert.Equal(t, http.StatusUnauthorized, status)
}

func TestNamesOfAllScripts(t *testing.T) {
	s := newSite(t)
	for _, name := range []string{"👩\u200d💻 Zoë", "🇩🇪", "علی\u200cرضا", "श्री\u200dमती", "李"} {
		var u user
		status, raw := s.visitor().call("POST", "/api/session", map[string]string{"name": name}, &u)
		assert.Equal(t, http.StatusOK, status, raw)
		assert.Equal(t, name, u.Name)
	}
}

func TestCookieIsSafe(t *testing.T) {
	s := newSite(t)
	resp, err := s.visitor().client.Post(s.url+"/api/session", "application/json", strings.NewReader(`{"name":"Ada"}`))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	cookie := resp.Cookies()[0]
	assert.True(t, cookie.HttpOnly)
	assert.Equal(t, http.SameSiteLaxMode, cookie.SameSite)

	ours := newSessions("test-secret")
	u, ok := ours.open(cookie.Value)
	require.True(t, ok)
	assert.Equal(t, "Ada", u.Name)
	_, signature, _ := strings.Cut(cookie.Value, ".")
	other, _, _ := strings.Cut(ours.seal(user{ID: "1", Name: "Eve"}), ".")
	for _, forged := range []string{"", ".", "x", cookie.Value + "A", other + "." + signature, newSessions("other").seal(u)} {
		_, ok := ours.open(forged)
		assert.False(t, ok, forged)
	}
}

func FuzzSessionOpen(f *testing.F) {
	s := newSessions("test-secret")
	f.Add("a.b")
	f.Add(s.seal(user{ID: "1", Name: "Ada"}))
	f.Fuzz(func(t *testing.T, value string) {
		if u, ok := s.open(value); ok {
			again, ok := s.open(s.seal(u))
			assert.True(t, ok)
			assert.Equal(t, u, again)
		}
	})
}

func TestMessagesAreChecked(t *testing.T) {
	s := newSite(t)
	ada := s.signedIn("Ada")
	for name, c := range map[string]struct{ text, clientID, field, message string }{
		"no text":       {" \n", "1", "text", "text is empty"},
		"text too long": {strings.Repeat("é", 2001), "1", "text", "text is too long: 2001 characters, the limit is 2000"},
		"no client_id":  {"hello", "", "client_id", "client_id is not 1 to 64 letters, digits, _ or -"},
		"bad client_id": {"hello", "a b", "client_id", "client_id is not 1 to 64 letters, digits, _ or -"},
	} {
		t.Run(name, func(t *testing.T) {
			var p problem
			status, _ := ada.call("POST", messagesPath, map[string]string{"text": c.text, "client_id": c.clientID}, &p)
			assert.Equal(t, http.StatusBadRequest, status)
			assert.Equal(t, c.field, p.Error.Field)
			assert.Equal(t, c.message, p.Error.Message)
		})
	}
	status, _ := ada.post(strings.Repeat("🔔", maxText), "longest")
	assert.Equal(t, http.StatusCreated, status)
	for path, field := range map[string]string{
		"?limit=0": "limit", "?limit=101": "limit", "?limit=x": "limit",
		"?before=5": "before", "?before=:5": "before", "?before=e:0": "before", "?before=e:x": "before",
	} {
		var p problem
		status, _ := ada.call("GET", messagesPath+path, nil, &p)
		assert.Equal(t, http.StatusBadRequest, status, path)
		assert.Equal(t, field, p.Error.Field, path)
	}
	status, _ = ada.call("GET", messagesPath+"?before="+storage.Position{Epoch: storage.Epoch{Number: 1}, Offset: 7}.String(), nil, nil)
	assert.Equal(t, http.StatusGone, status)
	status, _ = s.visitor().post("hello", "1")
	assert.Equal(t, http.StatusUnauthorized, status)
	status, _ = s.visitor().call("GET", messagesPath, nil, nil)
	assert.Equal(t, http.StatusUnauthorized, status)
}

type page struct {
	Messages []message
	Next     string
}

func TestHistoryIsReadBackward(t *testing.T) {
	s := newSite(t)
	ada := s.signedIn("Ada")
	var all page
	ada.call("GET", messagesPath, nil, &all)
	assert.Equal(t, page{Messages: []message{}}, all)

	for i := range 5 {
		status, raw := ada.post("message "+strconv.Itoa(i), strconv.Itoa(i))
		require.Equal(t, http.StatusCreated, status, raw)
	}
	var texts []string
	before := ""
	for range 3 {
		var p page
		status, _ := ada.call("GET", messagesPath+"?limit=2&before="+url.QueryEscape(before), nil, &p)
		require.Equal(t, http.StatusOK, status)
		for _, m := range p.Messages {
			texts = append(texts, m.Text)
			assert.Equal(t, "Ada", m.Name)
		}
		before = p.Next
	}
	assert.Equal(t, []string{"message 4", "message 3", "message 2", "message 1", "message 0"}, texts)
	assert.Empty(t, before)
}

func TestRetryIsPublishedOnce(t *testing.T) {
	s := newSite(t)
	ada, bob := s.signedIn("Ada"), s.signedIn("Bob")
	status, _ := ada.post("hello", "same")
	assert.Equal(t, http.StatusCreated, status)
	status, raw := ada.post("hello", "same")
	assert.Equal(t, http.StatusOK, status)
	assert.Contains(t, raw, `"duplicate":true`)
	status, _ = bob.post("hello too", "same")
	assert.Equal(t, http.StatusCreated, status, "another user's client_id is another key")
	var p page
	ada.call("GET", messagesPath, nil, &p)
	assert.Len(t, p.Messages, 2)
}

func TestOnlyTheLobbyIsAuthorized(t *testing.T) {
	s := newSite(t)
	ada := s.signedIn("Ada")
	auth := func(v *visitor, channel string) (int, string) {
		resp, err := v.client.PostForm(s.url+"/pusher/auth", url.Values{"socket_id": {"1.2"}, "channel_name": {channel}})
		require.NoError(t, err)
		defer resp.Body.Close()
		data, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, string(data)
	}
	for _, channel := range []string{"presence-room-lobby", "presence-typing-lobby"} {
		status, raw := auth(ada, channel)
		assert.Equal(t, http.StatusOK, status)
		assert.Contains(t, raw, `\"name\":\"Ada\"`)
	}
	status, _ := auth(ada, "presence-room-other")
	assert.Equal(t, http.StatusForbidden, status)
	status, _ = auth(s.visitor(), "presence-room-lobby")
	assert.Equal(t, http.StatusUnauthorized, status)
}

func TestPageIsSecured(t *testing.T) {
	s := newSite(t)
	resp, err := s.visitor().client.Get(s.url + "/")
	require.NoError(t, err)
	defer resp.Body.Close()
	assert.Equal(t, http.StatusOK, resp.StatusCode)
	assert.Contains(t, resp.Header.Get("Content-Security-Policy"), "default-src 'self'")
	assert.Equal(t, "nosniff", resp.Header.Get("X-Content-Type-Options"))

	req, err := http.NewRequestWithContext(t.Context(), "POST", s.url+"/api/session", strings.NewReader(`{"name":"Ada"}`))
	require.NoError(t, err)
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	resp, err = s.visitor().client.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	assert.Equal(t, http.StatusForbidden, resp.StatusCode)
}

func TestRun(t *testing.T) {
	err := run(t.Context(), []string{"-web", t.TempDir()}, io.Discard)
	assert.ErrorContains(t, err, "make chat")

	web := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(web, "index.html"), nil, 0o600))
	assert.ErrorContains(t, run(t.Context(), []string{"-web", web, "-addr", "127.0.0.1:-1"}, io.Discard), "-addr (or ADDR) 127.0.0.1:-1")

	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- run(ctx, []string{"-web", web, "-addr", "127.0.0.1:0"}, w) }()
	line := make([]byte, 100)
	n, err := r.Read(line)
	require.NoError(t, err)
	assert.Regexp(t, `^Carillon chat: http://127\.0\.0\.1:\d+\n$`, string(line[:n]))
	cancel()
	assert.NoError(t, <-done)
}

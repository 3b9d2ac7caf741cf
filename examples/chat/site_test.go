package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/crypto/bcrypt"

	"github.com/carillon-rt/carillon/pusher"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// site is the program behind a test server.
type site struct {
	t    *testing.T
	chat *chat
	url  string
}

func newSite(t *testing.T, options ...func(*config)) *site {
	t.Helper()
	cfg := defaults()
	cfg.hashCost, cfg.messages = bcrypt.MinCost, 10_000
	for _, set := range options {
		set(&cfg)
	}
	if cfg.data == "" {
		cfg.data = t.TempDir()
	}
	require.NoError(t, cfg.openData("sqlite"))
	c, err := newChat(t.Context(), cfg)
	require.NoError(t, err)
	server := httptest.NewUnstartedServer(c.routes(fstest.MapFS{"index.html": {Data: []byte("<title>chat</title>")}}))
	server.Config.ConnContext = pusher.ConnContext
	server.Start()
	t.Cleanup(func() {
		server.CloseClientConnections()
		assert.NoError(t, c.shutdown(context.Background()))
		server.Close()
	})
	return &site{t: t, chat: c, url: server.URL}
}

// visitor is a browser that keeps its cookies.
type visitor struct {
	site   *site
	client *http.Client
	user   user
}

func (s *site) visitor() *visitor {
	jar, err := cookiejar.New(nil)
	require.NoError(s.t, err)
	transport := &http.Transport{}
	s.t.Cleanup(transport.CloseIdleConnections)
	return &visitor{site: s, client: &http.Client{Jar: jar, Transport: transport}}
}

const passphrase = "a few good words"

// signedIn is somebody who has claimed a name.
func (s *site) signedIn(name string) *visitor {
	s.t.Helper()
	return s.invited(name, "")
}

// invited is somebody who came with an invitation to a role.
func (s *site) invited(name, role string) *visitor {
	s.t.Helper()
	v, body := s.visitor(), map[string]string{"name": name, "passphrase": passphrase}
	if role != "" {
		inv, err := s.chat.invite(s.t.Context(), role)
		require.NoError(s.t, err)
		body["invite"] = strings.TrimPrefix(inv.URL, "/invite/")
	}
	var answer struct{ User user }
	v.must(http.StatusCreated, "POST", "/api/session", body, &answer)
	v.user = answer.User
	return v
}

// call sends body as JSON, or as it is if it is a string or bytes.
func (v *visitor) call(method, path string, body, answer any, header ...string) (status int, raw string) {
	t := v.site.t
	t.Helper()
	resp := v.do(method, path, body, header...)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	if answer != nil {
		require.NoError(t, json.Unmarshal(data, answer), "%s", data)
	}
	return resp.StatusCode, string(data)
}

func (v *visitor) do(method, path string, body any, header ...string) *http.Response {
	t := v.site.t
	t.Helper()
	var r io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		r = strings.NewReader(b)
	case []byte:
		r = bytes.NewReader(b)
	case io.Reader:
		r = b
	default:
		data, err := json.Marshal(b)
		require.NoError(t, err)
		r = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, v.site.url+path, r)
	require.NoError(t, err)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := v.client.Do(req)
	require.NoError(t, err)
	return resp
}

// must calls, and fails the test unless the answer has the status.
func (v *visitor) must(status int, method, path string, body, answer any, header ...string) {
	v.site.t.Helper()
	got, raw := v.call(method, path, body, nil, header...)
	require.Equal(v.site.t, status, got, "%s %s: %s", method, path, raw)
	if answer != nil {
		require.NoError(v.site.t, json.Unmarshal([]byte(raw), answer), raw)
	}
}

// refused calls, and fails the test unless that is refused.
func (v *visitor) refused(status int, code, method, path string, body any, header ...string) problem {
	v.site.t.Helper()
	var answer struct{ Error problem }
	got, raw := v.call(method, path, body, &answer, header...)
	require.Equal(v.site.t, status, got, "%s %s: %s", method, path, raw)
	require.Equal(v.site.t, code, answer.Error.Code, raw)
	require.NotEmpty(v.site.t, answer.Error.Message)
	return answer.Error
}

// object is any JSON object.
type object = map[string]any

var clientIDs atomic.Int64

func clientID() string { return fmt.Sprintf("test-%d", clientIDs.Add(1)) }

// say posts a message and returns it.
func (v *visitor) say(roomID int64, text string) message {
	v.site.t.Helper()
	return v.post(roomID, object{"message": text})
}

func (v *visitor) post(roomID int64, body object) message {
	v.site.t.Helper()
	if body["client_id"] == nil {
		body["client_id"] = clientID()
	}
	var answer sent
	v.must(http.StatusCreated, "POST", roomPath(roomID, "/messages"), body, &answer)
	return *answer.Message
}

func roomPath(id int64, rest string) string { return fmt.Sprintf("/api/rooms/%d%s", id, rest) }

func messagePath(m message) string {
	return roomPath(m.RoomID, fmt.Sprintf("/messages/%d", m.ID))
}

// room makes a room with others in it.
func (v *visitor) room(kind string, others ...*visitor) room {
	v.site.t.Helper()
	ids := []int64{}
	for _, o := range others {
		ids = append(ids, o.user.ID)
	}
	var answer struct{ Room room }
	v.must(http.StatusCreated, "POST", "/api/rooms", object{"name": "Design", "kind": kind, "member_ids": ids}, &answer)
	return answer.Room
}

func (v *visitor) rooms() map[int64]room {
	v.site.t.Helper()
	var answer struct{ Rooms []room }
	v.must(http.StatusOK, "GET", "/api/rooms", nil, &answer)
	all := make(map[int64]room)
	for _, rm := range answer.Rooms {
		all[rm.ID] = rm
	}
	return all
}

// texts reads all that was said in a room, without what the chat itself says.
func (v *visitor) texts(roomID int64) (texts []string) {
	v.site.t.Helper()
	var page messagePage
	v.must(http.StatusOK, "GET", roomPath(roomID, "/messages?limit=100"), nil, &page)
	for _, m := range page.Messages {
		if m.Type != systemMessage {
			texts = append(texts, m.Message)
		}
	}
	return texts
}

func (v *visitor) authorize(socketID, channel string) (status int, raw string) {
	v.site.t.Helper()
	return v.call("POST", "/pusher/auth", url.Values{"socket_id": {socketID}, "channel_name": {channel}}.Encode(), nil,
		"Content-Type", "application/x-www-form-urlencoded")
}

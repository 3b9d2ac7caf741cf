package main

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// pushService is a browser with its push service.
type pushService struct {
	t      *testing.T
	server *httptest.Server
	key    *ecdh.PrivateKey
	auth   []byte
	status int
	got    chan *http.Request
	bodies chan []byte
}

func newPushService(t *testing.T, status int) *pushService {
	p := &pushService{t: t, auth: make([]byte, 16), status: status, got: make(chan *http.Request, 10), bodies: make(chan []byte, 10)}
	var err error
	p.key, err = ecdh.P256().GenerateKey(rand.Reader)
	require.NoError(t, err)
	_, _ = rand.Read(p.auth)
	p.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.WriteHeader(p.status)
		p.got <- r
		p.bodies <- body
	}))
	t.Cleanup(p.server.Close)
	return p
}

// subscription is what a browser's PushSubscription.toJSON returns.
func (p *pushService) subscription() object {
	b64 := base64.RawURLEncoding.EncodeToString
	return object{"endpoint": p.server.URL + "/push/1", "expirationTime": nil,
		"keys": object{"p256dh": b64(p.key.PublicKey().Bytes()), "auth": b64(p.auth)}}
}

// next returns the next notification, decrypted as RFC 8291 says.
func (p *pushService) next() (r *http.Request, note notification) {
	t := p.t
	t.Helper()
	select {
	case r = <-p.got:
	case <-time.After(20 * time.Second): // a bound for a test that fails
		require.FailNow(t, "no notification")
	}
	body := <-p.bodies
	salt, size := body[:16], binary.BigEndian.Uint32(body[16:])
	require.GreaterOrEqual(t, size, uint32(len(body)-86))
	sender, sealed := body[21:21+int(body[20])], body[21+int(body[20]):]
	theirs, err := ecdh.P256().NewPublicKey(sender)
	require.NoError(t, err)
	shared, err := p.key.ECDH(theirs)
	require.NoError(t, err)
	derive := func(secret, salt []byte, info string, n int) []byte {
		key, err := hkdf.Key(sha256.New, secret, salt, info, n)
		require.NoError(t, err)
		return key
	}
	ikm := derive(shared, p.auth, "WebPush: info\x00"+string(p.key.PublicKey().Bytes())+string(sender), 32)
	block, err := aes.NewCipher(derive(ikm, salt, "Content-Encoding: aes128gcm\x00", 16))
	require.NoError(t, err)
	gcm, err := cipher.NewGCM(block)
	require.NoError(t, err)
	plain, err := gcm.Open(nil, derive(ikm, salt, "Content-Encoding: nonce\x00", 12), sealed, nil)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal([]byte(strings.TrimRight(string(plain), "\x00\x02")), &note))
	return r, note
}

func anywhere(c *config) { c.pushAnywhere = true }

func TestNotificationsReachABrowser(t *testing.T) {
	s := newSite(t, anywhere)
	ann, bob, cy := s.signedIn("Ann"), s.signedIn("Bob"), s.signedIn("Cy")
	p := newPushService(t, http.StatusCreated)
	bob.must(http.StatusCreated, "POST", "/api/push/subscriptions", p.subscription(), nil)
	bob.must(http.StatusCreated, "POST", "/api/push/subscriptions", p.subscription(), nil)

	ann.say(lobby, "nothing for Bob")
	m := ann.say(lobby, "look at this, @bob: "+strings.Repeat("x", 300))
	r, note := p.next()
	assert.Equal(t, "Ann in Lobby", note.Title)
	assert.Len(t, []rune(note.Body), 200)
	assert.Equal(t, [2]int64{lobby, m.ID}, [2]int64{note.RoomID, note.MessageID})
	assert.Regexp(t, `^/room/1/message/\d+$`, note.URL)
	assert.Equal(t, "aes128gcm", r.Header.Get("Content-Encoding"))
	assert.True(t, strings.HasPrefix(r.Header.Get("Authorization"), "vapid t="))
	assert.Contains(t, r.Header.Get("Authorization"), s.chat.keys.pushPublic)

	own := bob.say(lobby, "here")
	cy.post(lobby, object{"message": "an answer", "reply_to": own.ID})
	_, note = p.next()
	assert.Equal(t, "an answer", note.Body)
	var direct struct{ Room room }
	cy.must(http.StatusCreated, "POST", "/api/direct", object{"user_id": bob.user.ID}, &direct)
	cy.say(direct.Room.ID, "psst")
	_, note = p.next()
	assert.Equal(t, "Cy", note.Title)

	// While a page is looked at, nothing else rings.
	tb := bob.connect()
	bob.must(http.StatusNoContent, "PUT", "/api/looking", object{"socket_id": tb.id, "looking": true}, nil)
	cy.refused(http.StatusNotFound, "not_found", "PUT", "/api/looking", object{"socket_id": tb.id, "looking": false})
	cy.say(direct.Room.ID, "not told")
	bob.must(http.StatusNoContent, "PUT", "/api/looking", object{"socket_id": tb.id, "looking": false}, nil)
	cy.say(direct.Room.ID, "told")
	_, note = p.next()
	assert.Equal(t, "told", note.Body)

	cy.must(http.StatusNoContent, "DELETE", "/api/push/subscriptions", object{"endpoint": p.subscription()["endpoint"]}, nil)
	cy.say(direct.Room.ID, "that was not Cy's browser")
	p.next()
	bob.must(http.StatusNoContent, "DELETE", "/api/push/subscriptions", object{"endpoint": p.subscription()["endpoint"]}, nil)
	assert.Zero(t, s.subscriptions())
}

func (s *site) subscriptions() (n int) {
	s.t.Helper()
	require.NoError(s.t, s.chat.db.QueryRow(`SELECT count(*) FROM push_subscriptions`).Scan(&n))
	return n
}

// TestNotificationsEndWithTheSession: a browser in which nobody is signed in shows nothing.
func TestNotificationsEndWithTheSession(t *testing.T) {
	s := newSite(t, anywhere)
	root := s.invited("Root", "admin")
	for name, end := range map[string]func(bob, phone *visitor){
		"signed out": func(_, phone *visitor) { phone.must(http.StatusNoContent, "DELETE", "/api/session", nil, nil) },
		"another passphrase": func(bob, _ *visitor) {
			bob.must(http.StatusOK, "PATCH", "/api/account", object{"passphrase": secondPassphrase, "current": passphrase}, nil)
		},
		"banned": func(bob, _ *visitor) {
			root.must(http.StatusNoContent, "PUT", fmt.Sprintf("/api/users/%d/ban", bob.user.ID), nil, nil)
		},
		"deleted": func(bob, _ *visitor) {
			bob.must(http.StatusNoContent, "DELETE", "/api/account", object{"current": passphrase}, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			bob := s.signedIn("Bob " + strings.ReplaceAll(name, " ", ""))
			phone := s.again(bob.user.Name, passphrase)
			p := newPushService(t, http.StatusCreated)
			phone.must(http.StatusCreated, "POST", "/api/push/subscriptions", p.subscription(), nil)
			assert.Equal(t, 1, s.subscriptions())
			end(bob, phone)
			assert.Zero(t, s.subscriptions())
		})
	}
}

func TestExpiredBrowsersAreForgotten(t *testing.T) {
	for status, left := range map[int]int{http.StatusGone: 0, http.StatusNotFound: 0, http.StatusTooManyRequests: 1, http.StatusTemporaryRedirect: 1} {
		s := newSite(t, anywhere)
		ann, bob := s.signedIn("Ann"), s.signedIn("Bob")
		p := newPushService(t, status)
		bob.must(http.StatusCreated, "POST", "/api/push/subscriptions", p.subscription(), nil)
		ann.say(lobby, "@bob")
		p.next()
		assert.Eventually(t, func() bool { return s.subscriptions() == left }, 20*time.Second, time.Millisecond, status)
	}
}

func TestPushAddressesAreChecked(t *testing.T) {
	s := newSite(t)
	ann := s.signedIn("Ann")
	p := newPushService(t, http.StatusCreated)
	valid := p.subscription()
	ann.refused(http.StatusBadRequest, "invalid", "POST", "/api/push/subscriptions", valid) // inside
	for _, endpoint := range []string{"", "x", "http://push.example.com/x", "https://localhost:8443/x", "https://127.0.0.1/x", "https://[::1]/x", "https://10.0.0.1/x",
		"https://169.254.169.254/latest/meta-data", "https://user:pass@push.example.com/x", "https://push.example.com:22/x", "https://x.example/" + strings.Repeat("x", 2000)} {
		valid["endpoint"] = endpoint
		assert.Equal(t, "endpoint", ann.refused(http.StatusBadRequest, "invalid", "POST", "/api/push/subscriptions", valid).Field, endpoint)
	}
	valid["endpoint"] = "https://push.example.com/x"
	for _, keys := range []object{{}, {"p256dh": "AAAA", "auth": "AAAA"}, {"p256dh": valid["keys"].(object)["p256dh"], "auth": "*"}} {
		ann.refused(http.StatusBadRequest, "invalid", "POST", "/api/push/subscriptions", object{"endpoint": valid["endpoint"], "keys": keys})
	}
	assert.Zero(t, s.subscriptions())
	for i := range pushBrowsers + 3 {
		valid["endpoint"] = "https://push.example.com/" + strings.Repeat("x", i)
		ann.must(http.StatusCreated, "POST", "/api/push/subscriptions", valid, nil)
	}
	assert.Equal(t, pushBrowsers, s.subscriptions(), "the oldest are forgotten")
}

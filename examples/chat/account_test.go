package main

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const secondPassphrase = "other good words"

// again signs somebody in a second time.
func (s *site) again(name, passphrase string) *visitor {
	s.t.Helper()
	v := s.visitor()
	var answer struct{ User user }
	v.must(http.StatusOK, "POST", "/api/session", object{"name": name, "passphrase": passphrase}, &answer)
	v.user = answer.User
	return v
}

func TestPassphraseIsChanged(t *testing.T) {
	s := newSite(t)
	ann, phone := s.signedIn("Ann"), s.again("Ann", passphrase)
	tb := phone.connect()
	for body, want := range map[string]struct {
		status      int
		code, field string
	}{
		`{"passphrase":"short","current":"` + passphrase + `"}`:       {400, "invalid", "passphrase"},
		`{"passphrase":"other good words"}`:                           {403, "wrong_passphrase", "current"},
		`{"passphrase":"other good words","current":"not the right"}`: {403, "wrong_passphrase", "current"},
	} {
		assert.Equal(t, want.field, ann.refused(want.status, want.code, "PATCH", "/api/account", body).Field, body)
	}
	s.visitor().refused(http.StatusUnauthorized, "signed_out", "PATCH", "/api/account", object{})
	ann.must(http.StatusOK, "PATCH", "/api/account", object{"passphrase": secondPassphrase, "current": passphrase}, nil)
	assert.Equal(t, websocket.StatusCode(4009), tb.closeCode(), "who knew the old one is out")
	phone.refused(http.StatusUnauthorized, "signed_out", "GET", "/api/rooms", nil)
	ann.say(lobby, "still here")
	s.visitor().refused(http.StatusForbidden, "wrong_passphrase", "POST", "/api/session", object{"name": "Ann", "passphrase": passphrase})
	s.again("Ann", secondPassphrase).say(lobby, "and there")
}

func TestNameIsChanged(t *testing.T) {
	s := newSite(t)
	ann, bob := s.signedIn("Ann"), s.signedIn("Bob")
	said := ann.say(lobby, "hello")
	tb := bob.connect()
	bob.enter(tb, bob.rooms()[lobby])
	for name, code := range map[string]string{"": "invalid", "b0b": "invalid", "a\u202eb": "invalid"} {
		assert.Equal(t, "name", ann.refused(http.StatusBadRequest, code, "PATCH", "/api/account", object{"name": name}).Field, name)
	}
	var answer struct{ User user }
	ann.must(http.StatusOK, "PATCH", "/api/account", object{"name": "ANN"}, &answer)
	assert.Equal(t, "ANN", answer.User.Name, "one's own name, written otherwise")
	ann.must(http.StatusOK, "PATCH", "/api/account", object{"name": "Anna"}, &answer)
	assert.Equal(t, user{ann.user.ID, "Anna", "student"}, answer.User)
	var note message
	tb.next("new-message").into(t, &note)
	tb.next("new-message").into(t, &note)
	assert.Equal(t, "renamed: ANN is now called Anna", note.Action+": "+note.Message)
	var page messagePage
	bob.must(http.StatusOK, "GET", lobbyMessages, nil, &page)
	for _, m := range page.Messages {
		if m.ID == said.ID {
			assert.Equal(t, "Anna", m.SenderName)
		}
	}
	s.signedIn("Ann") // is free again
	for i := 0; ; i++ {
		require.Less(t, i, 20)
		if status, _ := ann.call("PATCH", "/api/account", object{"name": fmt.Sprint("Name ", i)}, nil); status == http.StatusTooManyRequests {
			break
		}
	}
}

func TestAccountIsDeleted(t *testing.T) {
	s := newSite(t)
	ann, bob := s.signedIn("Ann"), s.signedIn("Bob")
	private := ann.room(privateRoom, bob)
	var direct struct{ Room room }
	bob.must(http.StatusCreated, "POST", "/api/direct", object{"user_id": ann.user.ID}, &direct)
	ann.say(private.ID, "remember me")
	tb := ann.connect()
	ann.refused(http.StatusForbidden, "wrong_passphrase", "DELETE", "/api/account", object{"current": "not the one"})
	ann.must(http.StatusNoContent, "DELETE", "/api/account", object{"current": passphrase}, nil)
	assert.Equal(t, websocket.StatusCode(4009), tb.closeCode())
	ann.refused(http.StatusUnauthorized, "signed_out", "GET", "/api/rooms", nil)

	var page messagePage
	bob.must(http.StatusOK, "GET", roomPath(private.ID, "/messages"), nil, &page)
	names := map[string]string{}
	for _, m := range page.Messages {
		names[m.Message] = m.SenderName
	}
	assert.Equal(t, "Deleted account", names["remember me"])
	assert.Contains(t, names, "Ann has left the chat for good")
	assert.Equal(t, 1, bob.rooms()[private.ID].Members)
	assert.Equal(t, "Deleted account", bob.rooms()[direct.Room.ID].Name)
	var found struct{ Users []user }
	bob.must(http.StatusOK, "GET", "/api/users", nil, &found)
	assert.Equal(t, []user{bob.user}, found.Users)
	bob.refused(http.StatusNotFound, "not_found", "POST", "/api/direct", object{"user_id": ann.user.ID})
	bob.refused(http.StatusNotFound, "not_found", "POST", roomPath(private.ID, "/members"), object{"user_id": ann.user.ID})
	for _, name := range []string{"DELETED 1", "Deleted 1", "deleted 1"} {
		s.visitor().call("POST", "/api/session", object{"name": name, "passphrase": passphrase}, nil)
	}
	assert.NotEqual(t, ann.user.ID, s.signedIn("Ann").user.ID, "the name is another's now")
}

func TestBans(t *testing.T) {
	s := newSite(t)
	root, tess, bob := s.invited("Root", "admin"), s.invited("Tess", "teacher"), s.signedIn("Bob")
	ban := func(v *visitor) string { return fmt.Sprintf("/api/users/%d/ban", v.user.ID) }
	for _, method := range []string{"PUT", "DELETE"} {
		tess.refused(http.StatusForbidden, "forbidden", method, ban(bob), nil)
		root.refused(http.StatusForbidden, "forbidden", method, ban(root), nil)
		root.refused(http.StatusNotFound, "not_found", method, "/api/users/99/ban", nil)
		s.visitor().refused(http.StatusUnauthorized, "signed_out", method, ban(bob), nil)
	}
	tess.refused(http.StatusForbidden, "forbidden", "GET", "/api/bans", nil)

	tb := bob.connect()
	bob.enter(tb, bob.rooms()[lobby])
	root.must(http.StatusNoContent, "PUT", ban(bob), nil, nil)
	root.must(http.StatusNoContent, "PUT", ban(bob), nil, nil)
	assert.Equal(t, websocket.StatusCode(4009), tb.closeCode())
	bob.refused(http.StatusUnauthorized, "signed_out", "POST", lobbyMessages, object{"client_id": "x", "message": "x"})
	p := s.visitor().refused(http.StatusForbidden, "banned", "POST", "/api/session", object{"name": "Bob", "passphrase": passphrase})
	assert.Equal(t, "This account was banned. Ask an admin of this chat.", p.Message)
	s.visitor().refused(http.StatusForbidden, "wrong_passphrase", "POST", "/api/session", object{"name": "Bob", "passphrase": "not the one"})
	var list struct{ Bans []banned }
	root.must(http.StatusOK, "GET", "/api/bans", nil, &list)
	require.Len(t, list.Bans, 1)
	assert.Equal(t, bob.user, list.Bans[0].user)
	assert.Equal(t, "Root", list.Bans[0].By)

	root.must(http.StatusNoContent, "DELETE", ban(bob), nil, nil)
	s.again("Bob", passphrase).say(lobby, "back again")
}

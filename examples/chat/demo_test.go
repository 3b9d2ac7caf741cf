package main

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDemoIsNotEmpty(t *testing.T) {
	data := t.TempDir()
	var said int
	for range 2 {
		s := newSite(t, func(c *config) { c.demo, c.data = true, data })
		guest := s.visitor()
		var answer struct{ User user }
		status, _ := guest.call("POST", "/api/session", object{"name": "Guest", "passphrase": passphrase, "role": "student"}, &answer)
		require.Less(t, status, 300)
		guest.user = answer.User
		rooms := guest.rooms()
		require.Len(t, rooms, 2)
		for _, rm := range rooms {
			assert.True(t, rm.Joined)
			var page messagePage
			guest.must(http.StatusOK, "GET", roomPath(rm.ID, "/messages?limit=100"), nil, &page)
			pictures, reactions, answers := 0, 0, 0
			for i, m := range page.Messages {
				if m.File != nil {
					pictures++
					resp, _ := guest.get(m.File.ThumbURL)
					assert.Equal(t, http.StatusOK, resp.StatusCode)
				}
				reactions += len(m.Reactions)
				if m.ReplyTo != nil {
					answers++
				}
				if i > 0 {
					assert.GreaterOrEqual(t, m.CreatedAt, page.Messages[i-1].CreatedAt)
				}
			}
			assert.Equal(t, 1, pictures)
			assert.Positive(t, reactions)
			assert.Positive(t, answers)
		}
		texts := len(guest.texts(lobby))
		if said != 0 {
			assert.Equal(t, said, texts, "the second start adds nothing")
		}
		said = texts
		var list struct{ Members []member }
		guest.must(http.StatusOK, "GET", roomPath(lobby, "/members"), nil, &list)
		require.Len(t, list.Members, 4)
		assert.True(t, list.Members[1].IsOnline)
		for _, m := range list.Members[1:] {
			s.visitor().refused(http.StatusForbidden, "wrong_passphrase", "POST", "/api/session", object{"name": m.Name, "passphrase": passphrase})
		}
		require.NoError(t, s.chat.shutdown(t.Context()))
	}
}

// TestDemoAnswers greets, and waits for the greeting to be returned.
func TestDemoAnswers(t *testing.T) {
	s := newSite(t, func(c *config) { c.demo = true })
	guest := s.signedIn("Guest")
	tb := guest.connect()
	guest.enter(tb, guest.rooms()[lobby])
	said := guest.say(lobby, "hello everybody")
	var m message
	for m.ReplyTo == nil {
		tb.next("new-message").into(t, &m)
	}
	assert.Equal(t, said.ID, m.ReplyTo.ID)
	assert.Equal(t, []int64{guest.user.ID}, m.Mentions)
}

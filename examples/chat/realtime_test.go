package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
)

func TestOthersSeeWhatHappens(t *testing.T) {
	for _, kind := range []string{openRoom, privateRoom} {
		t.Run(kind, func(t *testing.T) {
			s := newSite(t)
			ann, bob := s.signedIn("Ann"), s.signedIn("Bob")
			rm := ann.room(kind)
			if kind == openRoom {
				bob.must(http.StatusOK, "POST", roomPath(rm.ID, "/join"), nil, nil)
			} else {
				ann.must(http.StatusOK, "POST", roomPath(rm.ID, "/members"), object{"user_id": bob.user.ID}, nil)
			}
			a, b := ann.connect(), bob.connect()
			ann.enter(a, rm)
			bob.enter(b, rm)

			var sent struct{ Message message }
			ann.must(http.StatusCreated, "POST", roomPath(rm.ID, "/messages"), object{"client_id": "1", "message": "hello @bob"}, &sent, "X-Socket-ID", a.id)
			var got message
			frames := b.each("new-message", "new-activity", "mentioned")
			assert.Equal(t, rm.Channel, frames["new-message"].Channel)
			frames["new-message"].into(t, &got)
			assert.Equal(t, sent.Message, got)
			var act activity
			frames["new-activity"].into(t, &act)
			assert.Equal(t, "message", act.Action)
			var told struct {
				RoomID  int64 `json:"room_id"`
				Message message
			}
			frames["mentioned"].into(t, &told)
			assert.Equal(t, sent.Message, told.Message)
			own := a.quiet()
			assert.NotContains(t, own, "new-message", "the sender's page has it already")
			assert.Contains(t, own, "new-activity", "and not this")

			edited := func(tb *tab) (m message) {
				var amendment struct{ ID, Data string }
				tb.next("message-edited").into(t, &amendment)
				require.NoError(t, json.Unmarshal([]byte(amendment.Data), &m))
				assert.Equal(t, eventID(m.ID, 0), amendment.ID)
				return m
			}
			ann.must(http.StatusOK, "PATCH", messagePath(got), object{"message": "hello!"}, nil)
			assert.Equal(t, "hello!", edited(b).Message)
			bob.must(http.StatusOK, "PUT", messagePath(got)+"/reactions/👍", nil, nil, "X-Socket-ID", b.id)
			edited(a)
			assert.Equal(t, "👍", edited(a).Reactions[0].Emoji)

			a.send("client-typing", rm.Presence, object{"active": true})
			typed := b.next("client-typing")
			assert.Equal(t, userID(ann.user.ID), typed.UserID)
			for _, c := range [][2]string{{"client-other", rm.Presence}, {"client-typing", rm.Channel}, {"new-message", rm.Presence}} {
				a.send(c[0], c[1], object{})
				a.send("pusher:ping", "", nil)
				for f := a.any(); f.Event != "pusher:pong"; f = a.any() {
					assert.NotEqual(t, c[0], f.Event)
				}
			}
			assert.NotContains(t, b.quiet(), "client-other")

			bob.must(http.StatusOK, "PUT", roomPath(rm.ID, "/read"), object{"message_id": got.ID}, nil)
			var marker readMarker
			a.next("read-marker").into(t, &marker)
			assert.Equal(t, [2]int64{bob.user.ID, got.ID}, [2]int64{marker.UserID, marker.MessageID})
			var now reading
			b.next("room-read").into(t, &now)
			assert.Equal(t, reading{rm.ID, got.ID, 0, 0}, now)

			ann.must(http.StatusOK, "PATCH", roomPath(rm.ID, ""), object{"topic": "bells"}, nil)
			var changed struct {
				Topic   string
				Members int
			}
			b.next("room-changed").into(t, &changed)
			assert.Equal(t, "bells", changed.Topic)
			assert.Equal(t, 2, changed.Members)
		})
	}
}

// TestDeletedMessagesAreGone looks for what a deleted message said in all that is kept.
func TestDeletedMessagesAreGone(t *testing.T) {
	s := newSite(t)
	ann := s.signedIn("Ann")
	tb := ann.connect()
	ann.enter(tb, ann.rooms()[lobby])
	m := ann.say(lobby, "a secret word")
	answer := ann.post(lobby, object{"message": "which one?", "reply_to": m.ID})
	assert.Equal(t, "a secret word", answer.ReplyTo.Message)
	ann.must(http.StatusOK, "PATCH", messagePath(m), object{"message": "another secret word"}, nil)
	ann.must(http.StatusOK, "DELETE", messagePath(m), nil, nil, "X-Socket-ID", tb.id)
	// The answer is said again, as it is now.
	var changed message
	tb.next("message-retracted")
	tb.next("message-retracted")
	tb.next("new-message").into(t, &changed)
	assert.Equal(t, &quote{ID: m.ID, SenderID: ann.user.ID, SenderName: "Ann", Type: "text", Deleted: true}, changed.ReplyTo)
	assert.Equal(t, answer.ID, changed.ID)
	assert.Greater(t, changed.Rev, answer.Rev)
	// And it changes as any other.
	ann.must(http.StatusOK, "PATCH", messagePath(answer), object{"message": "that one?"}, nil)
	tb.next("message-edited")
	other := ann.post(lobby, object{"message": "soon gone", "reply_to": answer.ID})
	ann.must(http.StatusOK, "DELETE", messagePath(answer), nil, nil)
	ann.must(http.StatusOK, "DELETE", messagePath(other), nil, nil)
	for ev, err := range s.chat.events.History(t.Context(), "room-1", broker.Log()) {
		require.NoError(t, err)
		assert.NotContains(t, string(ev.Data), "secret", ev.Name)
	}
	var left int
	require.NoError(t, s.chat.db.QueryRow(`SELECT count(*) FROM messages WHERE text LIKE '%secret%'`).Scan(&left))
	assert.Zero(t, left)
}

// What a long message said is not on the disk either, in pages that are free.
func TestDeletedMessagesAreErased(t *testing.T) {
	s := newSite(t)
	ann := s.signedIn("Ann")
	said := func() bool {
		var busy, log, moved int
		require.NoError(t, s.chat.db.QueryRow(`PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &log, &moved))
		require.Zero(t, busy)
		file, err := os.ReadFile(s.chat.config.database)
		require.NoError(t, err)
		return bytes.Contains(file, []byte("秘密秘密秘密"))
	}
	m := ann.say(lobby, strings.Repeat("秘密", 1900))
	assert.True(t, said())
	ann.must(http.StatusOK, "DELETE", messagePath(m), nil, nil)
	assert.False(t, said())
}

// TestOldMessagesChange changes one whose event is no longer kept.
func TestOldMessagesChange(t *testing.T) {
	s := newSite(t)
	ann := s.signedIn("Ann")
	m := ann.say(lobby, "long ago")
	require.NoError(t, s.chat.events.DeleteHistory(t.Context(), "room-1"))
	tb := ann.connect()
	ann.enter(tb, ann.rooms()[lobby])
	var changed message
	ann.must(http.StatusOK, "PATCH", messagePath(m), object{"message": "now"}, nil)
	tb.next("message-changed").into(t, &changed)
	assert.Equal(t, "now", changed.Message)
	ann.must(http.StatusOK, "DELETE", messagePath(m), nil, nil)
	tb.next("message-changed").into(t, &changed)
	assert.NotZero(t, changed.DeletedAt)
}

func TestConnectionsNeedASession(t *testing.T) {
	s := newSite(t)
	stranger := s.visitor().dial()
	assert.Equal(t, "pusher:error", stranger.any().Event)
	assert.Equal(t, websocket.StatusCode(4009), stranger.closeCode())

	ann := s.signedIn("Ann")
	tb := ann.connect()
	ann.must(http.StatusNoContent, "DELETE", "/api/session", nil, nil)
	assert.Equal(t, websocket.StatusCode(4009), tb.closeCode(), "signing out ends the session's connections")

	// What a session may read ends with it.
	bob := s.signedIn("Bob")
	tb = bob.connect()
	s.chat.connections.mu.Lock()
	open := s.chat.connections.open[tb.id]
	s.chat.connections.mu.Unlock()
	req := &broker.SubscribeRequest{Session: open.session, Channel: "room-1"}
	require.NoError(t, s.chat.mayRead(t.Context(), req))
	var expires moment
	require.NoError(t, s.chat.db.QueryRow(`SELECT expires_at FROM sessions WHERE user_id = ?`, bob.user.ID).Scan(&expires))
	assert.Equal(t, expires.time(), req.Expires)
}

// TestPublicChannelsAreForMembers subscribes to a room's channel, which needs no
// signature, from outside.
func TestPublicChannelsAreForMembers(t *testing.T) {
	s := newSite(t)
	ann, eve := s.signedIn("Ann"), s.signedIn("Eve")
	rm := ann.room(openRoom)
	private := ann.room(privateRoom)
	tb := eve.connect()
	for _, channel := range []string{rm.Channel, fmt.Sprintf("room-%d", private.ID), "room-99", "room-", "other", "cache-room-1", "#server-to-user-" + userID(ann.user.ID)} {
		eve.subscribe(tb, channel)
		assert.NotContains(t, tb.refused(), "sql", channel)
	}
	// Forged signatures.
	for _, channel := range []string{private.Channel, private.Presence} {
		for _, auth := range []string{"", appKey + ":" + strings.Repeat("0", 64), "x"} {
			tb.send("pusher:subscribe", "", object{"channel": channel, "auth": auth, "channel_data": `{"user_id":"1"}`})
			tb.refused()
		}
	}
	// A signature of somebody else's connection.
	status, raw := ann.authorize(tb.id, private.Channel)
	require.Equal(t, http.StatusOK, status)
	auth := strings.Split(raw, `"`)[3]
	tb.send("pusher:subscribe", "", object{"channel": private.Channel, "auth": auth})
	assert.NotEmpty(t, tb.refused(), "Ann's word does not let Eve in")
	ann.say(private.ID, "secret")
	assert.NotContains(t, tb.quiet(), "new-message")
}

func TestWhoIsRemovedHearsNoMore(t *testing.T) {
	for _, kind := range []string{openRoom, privateRoom} {
		t.Run(kind, func(t *testing.T) {
			s := newSite(t)
			ann, bob := s.signedIn("Ann"), s.signedIn("Bob")
			rm := ann.room(kind)
			b := bob.connect()
			if kind == openRoom {
				bob.must(http.StatusOK, "POST", roomPath(rm.ID, "/join"), nil, nil)
			} else {
				ann.must(http.StatusOK, "POST", roomPath(rm.ID, "/members"), object{"user_id": bob.user.ID}, nil)
				var added struct{ Room room }
				b.next("room-added").into(t, &added)
				assert.Equal(t, rm.ID, added.Room.ID)
				assert.False(t, added.Room.Manages)
			}
			bob.enter(b, rm)
			var page messagePage
			bob.must(http.StatusOK, "GET", roomPath(rm.ID, "/messages"), nil, &page)

			ann.must(http.StatusNoContent, "DELETE", roomPath(rm.ID, fmt.Sprintf("/members/%d", bob.user.ID)), nil, nil)
			var removed struct {
				RoomID              int64 `json:"room_id"`
				Reason, By, Message string
			}
			b.next("room-removed").into(t, &removed)
			assert.Equal(t, "removed", removed.Reason)
			assert.Equal(t, "You are no longer in Design: Ann removed Bob.", removed.Message)
			ann.say(rm.ID, "he is gone")
			assert.NotContains(t, b.quiet(), "new-message")
			b.send("pusher:subscribe", "", object{"channel": rm.Channel})
			assert.NotEmpty(t, b.refused())
		})
	}
}

// TestStatusIsTrue has a user come with two tabs, reload one, and go.
func TestStatusIsTrue(t *testing.T) {
	s := newSite(t)
	ann, bob := s.signedIn("Ann"), s.signedIn("Bob")
	a := ann.connect()
	ann.enter(a, ann.rooms()[lobby])
	status := func() (changed statusChanged) {
		a.next("user-status-changed").into(t, &changed)
		return changed
	}
	isOnline := func() bool {
		var list struct{ Members []member }
		ann.must(http.StatusOK, "GET", roomPath(lobby, "/members"), nil, &list)
		return list.Members[1].IsOnline
	}
	for a.quiet() != nil { // Ann's own coming
	}
	one := bob.connect()
	came := status()
	for came.UserID == ann.user.ID {
		came = status()
	}
	assert.Equal(t, statusChanged{lobby, bob.user.ID, "Bob", "student", true, 0, came.Timestamp}, came)
	assert.True(t, isOnline())
	two := bob.connect()
	one.close() // two tabs are one user
	two.close()
	three := bob.connect() // a reload is no leave
	assert.NotContains(t, a.quiet(), "user-status-changed")
	three.close()
	went := status() // after the grace
	assert.Equal(t, bob.user.ID, went.UserID)
	assert.False(t, went.IsOnline)
	assert.NotZero(t, went.LastSeen)
	assert.False(t, isOnline())
}

// TestEventsComeInTheOrderOfMessages has several people write at once: a tab hears all
// of it once, in the order in which history has it.
func TestEventsComeInTheOrderOfMessages(t *testing.T) {
	s := newSite(t)
	const writers, each = 4, 25
	listener := s.signedIn("Listener")
	tb := listener.connect()
	listener.enter(tb, listener.rooms()[lobby])
	var people []*visitor
	for i := range writers {
		people = append(people, s.signedIn(fmt.Sprintf("Writer %d", i)))
	}
	var wait sync.WaitGroup
	for _, v := range people {
		wait.Go(func() {
			for range each {
				resp := v.do("POST", lobbyMessages, object{"client_id": clientID(), "message": "x"})
				_ = resp.Body.Close()
			}
		})
	}
	var heard []int64
	for len(heard) < writers*each {
		var m message
		if tb.next("new-message").into(t, &m); m.Type != systemMessage {
			heard = append(heard, m.ID)
		}
	}
	wait.Wait()
	var page messagePage
	listener.must(http.StatusOK, "GET", lobbyMessages+"?limit=100", nil, &page)
	var stored []int64
	for _, m := range page.Messages {
		if m.Type != systemMessage {
			stored = append(stored, m.ID)
		}
	}
	assert.Equal(t, stored, heard)
}

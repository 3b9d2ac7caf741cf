package main

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRoomsAreChecked(t *testing.T) {
	s := newSite(t)
	ann := s.signedIn("Ann")
	for name, c := range map[string]struct {
		path  string
		body  any
		field string
	}{
		"no name":         {"/api/rooms", object{"kind": "open"}, "name"},
		"long name":       {"/api/rooms", object{"name": strings.Repeat("x", 61), "kind": "open"}, "name"},
		"no kind":         {"/api/rooms", object{"name": "x"}, "kind"},
		"direct kind":     {"/api/rooms", object{"name": "x", "kind": "direct"}, "kind"},
		"long topic":      {"/api/rooms", object{"name": "x", "kind": "open", "topic": strings.Repeat("x", 201)}, "topic"},
		"capacity 1":      {"/api/rooms", object{"name": "x", "kind": "open", "capacity": 1}, "capacity"},
		"capacity 501":    {"/api/rooms", object{"name": "x", "kind": "open", "capacity": 501}, "capacity"},
		"too many people": {"/api/rooms", object{"name": "x", "kind": "open", "capacity": 2, "member_ids": []int{2, 3}}, "member_ids"},
		"oneself":         {"/api/direct", object{"user_id": 1}, "user_id"},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, c.field, ann.refused(http.StatusBadRequest, "invalid", "POST", c.path, c.body).Field)
		})
	}
	ann.refused(http.StatusNotFound, "not_found", "POST", "/api/direct", object{"user_id": 99})
	ann.refused(http.StatusNotFound, "not_found", "POST", "/api/rooms", object{"name": "x", "kind": "open", "member_ids": []int{99}})
	for _, id := range []string{"99", "0", "-1", "x", "1%2f..", "9999999999999999999999"} {
		ann.refused(http.StatusNotFound, "not_found", "GET", "/api/rooms/"+id, nil)
		ann.refused(http.StatusNotFound, "not_found", "POST", "/api/rooms/"+id+"/join", nil)
	}
	assert.Len(t, ann.rooms(), 1, "what was refused has left nothing")
}

func TestRoomsAreListed(t *testing.T) {
	s := newSite(t)
	ann, bob, eve := s.signedIn("Ann"), s.signedIn("Bob"), s.signedIn("Eve")
	open := ann.room(openRoom)
	private := ann.room(privateRoom, bob)
	var direct struct{ Room room }
	ann.must(http.StatusCreated, "POST", "/api/direct", object{"user_id": bob.user.ID}, &direct)
	var again struct{ Room room }
	bob.must(http.StatusOK, "POST", "/api/direct", object{"user_id": ann.user.ID}, &again)
	assert.Equal(t, direct.Room.ID, again.Room.ID)
	assert.Equal(t, "Bob", direct.Room.Name)
	assert.Equal(t, "Ann", again.Room.Name)
	assert.Equal(t, &ann.user, again.Room.With)
	assert.Equal(t, fmt.Sprintf("private-room-%d", direct.Room.ID), direct.Room.Channel)
	assert.Equal(t, fmt.Sprintf("room-%d", open.ID), open.Channel)
	assert.Equal(t, fmt.Sprintf("presence-room-%d", private.ID), private.Presence)
	assert.True(t, private.Manages)
	assert.False(t, direct.Room.Manages)

	m := ann.say(private.ID, "hello @bob")
	rooms := bob.rooms()
	assert.Len(t, rooms, 4)
	got := rooms[private.ID]
	assert.Equal(t, 1, got.Unread)
	assert.Equal(t, 1, got.Mentions)
	assert.Equal(t, &last{m.ID, "Ann", "hello @bob", "text", m.CreatedAt}, got.Last)
	assert.False(t, got.Manages)
	assert.False(t, rooms[open.ID].Joined)
	assert.Zero(t, ann.rooms()[private.ID].Unread, "one's own messages are read")
	assert.Equal(t, []int64{lobby, open.ID}, keysOf(eve.rooms()), "private rooms are not even listed")
}

func keysOf(rooms map[int64]room) (ids []int64) {
	for id := int64(0); id < 100; id++ {
		if _, ok := rooms[id]; ok {
			ids = append(ids, id)
		}
	}
	return ids
}

// TestStrangersAreRefused tries every route of a room from outside.
func TestStrangersAreRefused(t *testing.T) {
	s := newSite(t)
	ann, bob, eve := s.signedIn("Ann"), s.signedIn("Bob"), s.signedIn("Eve")
	open, private := ann.room(openRoom), ann.room(privateRoom, bob)
	for _, c := range []struct {
		rm     room
		status int
		code   string
	}{{open, 403, "not_a_member"}, {private, 404, "not_found"}} {
		m := ann.say(c.rm.ID, "for members only")
		for _, route := range []struct {
			method, path string
			body         any
		}{
			{"PATCH", roomPath(c.rm.ID, ""), object{"name": "mine"}},
			{"POST", roomPath(c.rm.ID, "/leave"), nil},
			{"GET", roomPath(c.rm.ID, "/members"), nil},
			{"POST", roomPath(c.rm.ID, "/members"), object{"user_id": eve.user.ID}},
			{"DELETE", roomPath(c.rm.ID, fmt.Sprintf("/members/%d", ann.user.ID)), nil},
			{"PUT", roomPath(c.rm.ID, "/read"), object{"message_id": m.ID}},
			{"GET", roomPath(c.rm.ID, "/activity"), nil},
			{"GET", roomPath(c.rm.ID, "/messages"), nil},
			{"GET", roomPath(c.rm.ID, fmt.Sprintf("/messages?around=%d", m.ID)), nil},
			{"POST", roomPath(c.rm.ID, "/messages"), object{"client_id": "x", "message": "x"}},
			{"PATCH", messagePath(m), object{"message": "x"}},
			{"DELETE", messagePath(m), nil},
			{"PUT", messagePath(m) + "/reactions/👍", nil},
			{"DELETE", messagePath(m) + "/reactions/👍", nil},
			{"POST", roomPath(c.rm.ID, "/uploads"), "text"},
		} {
			eve.refused(c.status, c.code, route.method, route.path, route.body)
			s.visitor().refused(http.StatusUnauthorized, "signed_out", route.method, route.path, route.body)
		}
		// The ID of a message does not help in another room.
		own := eve.room(openRoom)
		eve.refused(http.StatusNotFound, "not_found", "PATCH", roomPath(own.ID, fmt.Sprintf("/messages/%d", m.ID)), object{"message": "x"})
		eve.refused(http.StatusNotFound, "not_found", "GET", roomPath(own.ID, fmt.Sprintf("/messages?around=%d", m.ID)), nil)
		eve.refused(http.StatusBadRequest, "invalid", "POST", roomPath(own.ID, "/messages"), object{"client_id": "r", "message": "x", "reply_to": m.ID})
		for _, channel := range []string{c.rm.Channel, c.rm.Presence, strings.TrimPrefix(c.rm.Channel, "private-")} {
			if status, raw := eve.authorize("1.2", channel); strings.HasPrefix(channel, "p") {
				assert.Equal(t, http.StatusForbidden, status, "%s: %s", channel, raw)
			}
		}
	}
	eve.refused(http.StatusNotFound, "not_found", "POST", roomPath(private.ID, "/join"), nil)
	eve.refused(http.StatusNotFound, "not_found", "GET", roomPath(private.ID, ""), nil)
	var hits struct{ Hits []hit }
	eve.must(http.StatusOK, "GET", "/api/search?q=members", nil, &hits)
	assert.Empty(t, hits.Hits)
	assert.Equal(t, []string{"for members only"}, bob.texts(private.ID))
}

func TestChannelsAreAuthorizedForMembers(t *testing.T) {
	s := newSite(t)
	ann := s.signedIn("Ann")
	private := ann.room(privateRoom)
	for channel, want := range map[string]int{
		private.Channel: 200, private.Presence: 200, "presence-room-1": 200,
		"private-room-1": 403, // the lobby is open, and has no such channel
		"private-room-9": 403, "private-room-x": 403, "presence-room-": 403, "private-other": 403,
		"private-encrypted-room-1": 403, "presence-cache-room-1": 403, "private-room-01": 403,
	} {
		status, raw := ann.authorize("1.2", channel)
		assert.Equal(t, want, status, "%s: %s", channel, raw)
	}
	status, raw := ann.authorize("1.2", "presence-room-1")
	assert.Equal(t, http.StatusOK, status)
	assert.Contains(t, raw, `\"name\":\"Ann\"`)
	status, _ = s.visitor().authorize("1.2", "presence-room-1")
	assert.Equal(t, http.StatusUnauthorized, status)
	status, raw = ann.call("POST", "/pusher/user-auth", "socket_id=1.2", nil, "Content-Type", "application/x-www-form-urlencoded")
	assert.Equal(t, http.StatusOK, status)
	assert.Contains(t, raw, fmt.Sprintf(`\"id\":\"%d\"`, ann.user.ID))
	status, _ = s.visitor().call("POST", "/pusher/user-auth", "socket_id=1.2", nil, "Content-Type", "application/x-www-form-urlencoded")
	assert.Equal(t, http.StatusUnauthorized, status)
}

func TestFullRoomLetsNobodyHalfIn(t *testing.T) {
	s := newSite(t)
	ann := s.signedIn("Ann")
	var answer struct{ Room room }
	ann.must(http.StatusCreated, "POST", "/api/rooms", object{"name": "Small", "kind": "open", "capacity": 3}, &answer)
	id := answer.Room.ID

	const crowd = 6
	var visitors []*visitor
	for i := range crowd {
		visitors = append(visitors, s.signedIn(fmt.Sprintf("Visitor %d", i)))
	}
	statuses := make([]int, crowd)
	var wait sync.WaitGroup
	for i, v := range visitors {
		wait.Go(func() {
			resp := v.do("POST", roomPath(id, "/join"), nil)
			_ = resp.Body.Close()
			statuses[i] = resp.StatusCode
		})
	}
	wait.Wait()
	in := 0
	for i, v := range visitors {
		if statuses[i] == http.StatusOK {
			in++
			continue
		}
		p := v.refused(http.StatusConflict, "room_full", "POST", roomPath(id, "/join"), nil)
		assert.Equal(t, "This room is full (3 people). Try again in a minute.", p.Message)
		v.refused(http.StatusForbidden, "not_a_member", "POST", roomPath(id, "/messages"), object{"client_id": "x", "message": "x"})
		v.refused(http.StatusForbidden, "not_a_member", "GET", roomPath(id, "/messages"), nil)
	}
	assert.Equal(t, 2, in)
	ann.must(http.StatusNoContent, "POST", roomPath(id, "/leave"), nil, nil)
	for i, v := range visitors {
		if statuses[i] != http.StatusOK {
			v.must(http.StatusOK, "POST", roomPath(id, "/join"), nil, nil)
			break
		}
	}
}

func TestFullLobbyIsNotInTheWay(t *testing.T) {
	s := newSite(t, func(c *config) { c.roomSize = 2 })
	s.signedIn("Ann")
	s.signedIn("Bob")
	late := s.signedIn("Cy")
	assert.True(t, late.rooms()[lobby].Full)
	late.refused(http.StatusConflict, "room_full", "POST", roomPath(lobby, "/join"), nil)
}

// TestSeatsAreForThoseWhoAreHere has members of a full room come when others have gone.
func TestSeatsAreForThoseWhoAreHere(t *testing.T) {
	s := newSite(t, func(c *config) { c.roomSize = 2 })
	ann, bob := s.signedIn("Ann"), s.signedIn("Bob")
	m := ann.say(lobby, "for those who are here")
	assert.Equal(t, []string{"for those who are here"}, bob.texts(lobby))
	late, teacher := s.signedIn("Cy"), s.invited("Tess", "teacher")

	// Cy is a member, and yet nothing of the room is to be had.
	rm := late.rooms()[lobby]
	assert.True(t, rm.Joined && rm.Full)
	assert.Nil(t, rm.Last)
	for _, route := range []struct {
		method, path string
		body         any
	}{
		{"POST", roomPath(lobby, "/join"), nil},
		{"GET", lobbyMessages, nil},
		{"POST", lobbyMessages, object{"client_id": "x", "message": "x"}},
		{"PATCH", messagePath(m), object{"message": "x"}},
		{"PUT", messagePath(m) + "/reactions/👍", nil},
		{"GET", roomPath(lobby, "/members"), nil},
		{"GET", roomPath(lobby, "/activity"), nil},
		{"PUT", roomPath(lobby, "/read"), object{"message_id": m.ID}},
		{"POST", roomPath(lobby, "/uploads"), "text"},
	} {
		late.refused(http.StatusConflict, "room_full", route.method, route.path, route.body)
	}
	for _, channel := range []string{rm.Channel, rm.Presence} {
		if status, raw := late.authorize("1.2", channel); channel == rm.Presence {
			assert.Equal(t, http.StatusForbidden, status)
			assert.Contains(t, raw, "full")
		}
	}
	var hits struct{ Hits []hit }
	late.must(http.StatusOK, "GET", "/api/search?q=those", nil, &hits)
	assert.Empty(t, hits.Hits)
	assert.Equal(t, []string{"for those who are here"}, teacher.texts(lobby), "who manages the room finds a place")
	teacher.must(http.StatusNoContent, "POST", roomPath(lobby, "/leave"), nil, nil)

	// Bob's last connection ends, and the place is free for Cy, but not for Bob then.
	s.chat.seats.leaveAll(bob.user.ID)
	late.say(lobby, "here I am")
	bob.refused(http.StatusConflict, "room_full", "GET", lobbyMessages, nil)
	bob.must(http.StatusNoContent, "POST", roomPath(lobby, "/leave"), nil, nil)
}

// Whoever reads a room on a connection that is not signed in as a user has a place, too.
func TestSilentReadersKeepTheirSeats(t *testing.T) {
	s := newSite(t, func(c *config) { c.roomSize = 2 })
	s.signedIn("Ann")
	bob, late := s.signedIn("Bob"), s.signedIn("Cy")
	tb := bob.dial()
	tb.next("pusher:connection_established")
	bob.subscribe(tb, bob.rooms()[lobby].Channel)
	tb.next("pusher_internal:subscription_succeeded")
	longAgo := time.Now().Add(-2 * seatHold)
	s.chat.seats.mu.Lock()
	s.chat.seats.taken[lobby][bob.user.ID] = longAgo
	s.chat.seats.mu.Unlock()
	late.refused(http.StatusConflict, "room_full", "POST", roomPath(lobby, "/join"), nil)
	tb.close()
	require.Eventually(t, func() bool {
		status, _ := late.call("POST", roomPath(lobby, "/join"), nil, nil)
		return status == http.StatusOK
	}, 10*time.Second, 10*time.Millisecond)
}

func TestSeatsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		online := map[int64]bool{1: true}
		s := seats{online: func(id int64) bool { return online[id] }}
		rm := &room{ID: 7, Capacity: 2}
		assert.True(t, s.take(rm, 1))
		assert.True(t, s.take(rm, 2))
		assert.False(t, s.take(rm, 3))
		time.Sleep(seatHold + 1)
		assert.True(t, s.free(rm, 3), "2 has no connection, and asks for nothing")
		assert.True(t, s.take(rm, 3))
		assert.False(t, s.take(rm, 2))
		time.Sleep(seatHold + 1)
		online[3] = true
		assert.False(t, s.take(rm, 2), "1 and 3 are online")
		s.leave(rm.ID, 1)
		s.leaveAll(3)
		assert.False(t, s.take(&room{ID: 7, Capacity: 1}, 2), "3 is online still")
		online[3] = false
		s.leaveAll(3)
		assert.Empty(t, s.taken)
	})
}

func TestMembersComeAndGo(t *testing.T) {
	s := newSite(t)
	ann, bob, cy := s.signedIn("Ann"), s.signedIn("Bob"), s.signedIn("Cy")
	private := ann.room(privateRoom)
	var added struct{ Member member }
	ann.must(http.StatusOK, "POST", roomPath(private.ID, "/members"), object{"user_id": bob.user.ID}, &added)
	assert.Equal(t, bob.user, added.Member.user)
	bob.must(http.StatusOK, "POST", roomPath(private.ID, "/members"), object{"user_id": cy.user.ID}, nil)
	ann.refused(http.StatusNotFound, "not_found", "POST", roomPath(private.ID, "/members"), object{"user_id": 99})
	bob.refused(http.StatusForbidden, "forbidden", "PATCH", roomPath(private.ID, ""), object{"name": "Mine"})
	ann.refused(http.StatusBadRequest, "invalid", "PATCH", roomPath(private.ID, ""), object{"name": " "})
	ann.must(http.StatusOK, "PATCH", roomPath(private.ID, ""), object{"name": "New name", "topic": "news"}, nil)
	assert.Equal(t, "New name", bob.rooms()[private.ID].Name)

	var list struct{ Members []member }
	ann.must(http.StatusOK, "GET", roomPath(private.ID, "/members"), nil, &list)
	assert.Len(t, list.Members, 3)
	assert.True(t, list.Members[0].Manages, "Ann has made it")

	bob.must(http.StatusNoContent, "POST", roomPath(private.ID, "/leave"), nil, nil)
	bob.refused(http.StatusNotFound, "not_found", "GET", roomPath(private.ID, ""), nil)

	var feed struct {
		Activity  []activity
		HasBefore bool `json:"has_before"`
	}
	ann.must(http.StatusOK, "GET", roomPath(private.ID, "/activity?limit=4"), nil, &feed)
	actions := []string{}
	for _, a := range feed.Activity {
		actions = append(actions, a.Action+": "+a.Description)
	}
	assert.Equal(t, []string{"left: Bob left the room", "renamed: Ann renamed the room to New name", "added: Bob added Cy", "added: Ann added Bob"}, actions)
	assert.True(t, feed.HasBefore)
	ann.must(http.StatusOK, "GET", roomPath(private.ID, fmt.Sprintf("/activity?limit=4&before=%d", feed.Activity[3].ID)), nil, &feed)
	assert.Len(t, feed.Activity, 1)
	assert.Equal(t, "created", feed.Activity[0].Action)
	assert.False(t, feed.HasBefore)

	var direct struct{ Room room }
	ann.must(http.StatusCreated, "POST", "/api/direct", object{"user_id": bob.user.ID}, &direct)
	ann.refused(http.StatusForbidden, "forbidden", "POST", roomPath(direct.Room.ID, "/leave"), nil)
	ann.refused(http.StatusForbidden, "forbidden", "POST", roomPath(direct.Room.ID, "/members"), object{"user_id": cy.user.ID})
	ann.refused(http.StatusForbidden, "forbidden", "POST", roomPath(lobby, "/members"), object{"user_id": cy.user.ID})
}

func TestModerators(t *testing.T) {
	s := newSite(t)
	root, tess, ann, bob := s.invited("Root", "admin"), s.invited("Tess", "teacher"), s.signedIn("Ann"), s.signedIn("Bob")
	remove := func(v *visitor) string { return roomPath(lobby, fmt.Sprintf("/members/%d", v.user.ID)) }
	bob.refused(http.StatusForbidden, "forbidden", "DELETE", remove(ann), nil)
	tess.refused(http.StatusForbidden, "forbidden", "DELETE", remove(root), nil)
	tess.refused(http.StatusForbidden, "forbidden", "DELETE", remove(tess), nil)
	tess.refused(http.StatusNotFound, "not_found", "DELETE", roomPath(lobby, "/members/99"), nil)

	said := bob.say(lobby, "something bad")
	ann.refused(http.StatusForbidden, "forbidden", "DELETE", messagePath(said), nil)
	tess.refused(http.StatusForbidden, "forbidden", "PATCH", messagePath(said), object{"message": "something good"})
	var answer struct{ Message message }
	tess.must(http.StatusOK, "DELETE", messagePath(said), nil, &answer)
	assert.Equal(t, "Tess", answer.Message.DeletedBy)
	assert.Empty(t, answer.Message.Message)
	rule := root.say(lobby, "the rules")
	tess.refused(http.StatusForbidden, "forbidden", "DELETE", messagePath(rule), nil)

	tess.must(http.StatusNoContent, "DELETE", remove(bob), nil, nil)
	p := bob.refused(http.StatusForbidden, "removed", "GET", roomPath(lobby, "/messages"), nil)
	assert.Contains(t, p.Message, "removed")
	bob.refused(http.StatusForbidden, "removed", "POST", roomPath(lobby, "/join"), nil)
	bob.refused(http.StatusForbidden, "removed", "POST", roomPath(lobby, "/messages"), object{"client_id": "x", "message": "x"})
	status, _ := bob.authorize("1.2", "presence-room-1")
	assert.Equal(t, http.StatusForbidden, status)
	tess.refused(http.StatusNotFound, "not_found", "DELETE", remove(bob), nil)
	tess.must(http.StatusOK, "POST", roomPath(lobby, "/members"), object{"user_id": bob.user.ID}, nil)
	bob.say(lobby, "back again")

	// Somebody who was removed from a private room comes back by who manages it only.
	private := ann.room(privateRoom, bob, tess)
	ann.must(http.StatusNoContent, "DELETE", roomPath(private.ID, fmt.Sprintf("/members/%d", bob.user.ID)), nil, nil)
	cy := s.signedIn("Cy")
	ann.must(http.StatusOK, "POST", roomPath(private.ID, "/members"), object{"user_id": cy.user.ID}, nil)
	cy.refused(http.StatusForbidden, "forbidden", "POST", roomPath(private.ID, "/members"), object{"user_id": bob.user.ID})
	ann.must(http.StatusOK, "POST", roomPath(private.ID, "/members"), object{"user_id": bob.user.ID}, nil)
}

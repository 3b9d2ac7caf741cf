package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var lobbyMessages = roomPath(lobby, "/messages")

func TestMessagesAreChecked(t *testing.T) {
	s := newSite(t)
	ann := s.signedIn("Ann")
	for name, c := range map[string]struct {
		body  any
		code  string
		field string
	}{
		"no text":       {object{"client_id": "1", "message": ""}, "invalid", "message"},
		"only spaces":   {object{"client_id": "1", "message": " \n\t\u200b"}, "invalid", "message"},
		"too long":      {object{"client_id": "1", "message": strings.Repeat("é", maxText+1)}, "invalid", "message"},
		"control":       {object{"client_id": "1", "message": "a\x02b"}, "invalid", "message"},
		"NUL":           {object{"client_id": "1", "message": "a\x00b"}, "invalid", "message"},
		"no client_id":  {object{"message": "x"}, "invalid", "client_id"},
		"bad client_id": {object{"client_id": "a b", "message": "x"}, "invalid", "client_id"},
		"reply to none": {object{"client_id": "1", "message": "x", "reply_to": 99}, "invalid", "reply_to"},
		"reply to join": {object{"client_id": "1", "message": "x", "reply_to": 1}, "invalid", "reply_to"},
		"no such file":  {object{"client_id": "1", "message": "x", "file_id": 99}, "invalid", "file_id"},
		"text a number": {object{"client_id": "1", "message": 5}, "bad_json", "message"},
		"no object":     {"[]", "bad_json", ""},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, c.field, ann.refused(http.StatusBadRequest, c.code, "POST", lobbyMessages, c.body).Field)
		})
	}
	assert.Empty(t, ann.texts(lobby))
	for query, field := range map[string]string{
		"?limit=0": "limit", "?limit=101": "limit", "?limit=x": "limit", "?before=x": "before", "?before=-1": "before",
		"?after=-1": "after", "?around=1.5": "around",
	} {
		assert.Equal(t, field, ann.refused(http.StatusBadRequest, "invalid", "GET", lobbyMessages+query, nil).Field, query)
	}
	ann.refused(http.StatusNotFound, "not_found", "GET", lobbyMessages+"?around=99", nil)
}

// TestTextIsKeptAsTyped reads back byte for byte what a hostile or careful writer typed.
func TestTextIsKeptAsTyped(t *testing.T) {
	s := newSite(t)
	ann := s.signedIn("Ann")
	var texts []string
	for _, text := range []string{
		"vector<int>", "<script>alert(1)</script>", `"quotes" & 'more' \n \u0000`, "  indented\n\tcode  \n", "שלום \u202ecba", "👩‍💻🏳️‍🌈",
		"'; DROP TABLE messages; --", "%s %d {{.}} ${x}", "a\u2028\u2029b", strings.Repeat("🔔", maxText), "`a < b && c > d`",
	} {
		assert.Equal(t, text, ann.say(lobby, text).Message)
		texts = append(texts, text)
	}
	assert.Equal(t, texts, ann.texts(lobby))
}

func TestHistoryIsReadInPages(t *testing.T) {
	s := newSite(t)
	ann := s.signedIn("Ann")
	const n = 120
	for i := range n {
		ann.say(lobby, strconv.Itoa(i))
	}
	var all []message
	var page messagePage
	ann.must(http.StatusOK, "GET", lobbyMessages, nil, &page)
	for {
		all = append(append([]message{}, page.Messages...), all...)
		if !page.HasBefore {
			break
		}
		require.LessOrEqual(t, len(page.Messages), pageSize)
		before := page.Messages[0].ID
		page = messagePage{}
		ann.must(http.StatusOK, "GET", fmt.Sprintf("%s?before=%d", lobbyMessages, before), nil, &page)
		assert.True(t, page.HasAfter)
	}
	require.Len(t, all, n+1, "the first message is that Ann has joined")
	for i, m := range all[1:] {
		assert.Equal(t, strconv.Itoa(i), m.Message)
	}

	ann.must(http.StatusOK, "GET", fmt.Sprintf("%s?after=%d&limit=10", lobbyMessages, all[20].ID), nil, &page)
	assert.Equal(t, all[21:31], page.Messages)
	assert.True(t, page.HasAfter)
	ann.must(http.StatusOK, "GET", lobbyMessages+"?after=0&limit=10", nil, &page)
	assert.Equal(t, all[:10], page.Messages)
	assert.False(t, page.HasBefore)
	ann.must(http.StatusOK, "GET", fmt.Sprintf("%s?around=%d&limit=10", lobbyMessages, all[60].ID), nil, &page)
	assert.Equal(t, all[56:66], page.Messages)
	assert.True(t, page.HasBefore && page.HasAfter)
	ann.must(http.StatusOK, "GET", fmt.Sprintf("%s?around=%d&limit=10", lobbyMessages, all[n].ID), nil, &page)
	assert.Equal(t, all[n], page.Messages[len(page.Messages)-1])
	assert.False(t, page.HasAfter)
}

func TestRetryIsStoredOnce(t *testing.T) {
	s := newSite(t)
	ann, bob := s.signedIn("Ann"), s.signedIn("Bob")
	body := object{"client_id": "same", "message": "hello"}
	const tries = 8
	statuses := make([]int, tries)
	var wait sync.WaitGroup
	for i := range tries {
		wait.Go(func() {
			resp := ann.do("POST", lobbyMessages, body)
			_ = resp.Body.Close()
			statuses[i] = resp.StatusCode
		})
	}
	wait.Wait()
	firsts := 0
	for _, status := range statuses {
		if status == http.StatusCreated {
			firsts++
			continue
		}
		assert.Equal(t, http.StatusOK, status)
	}
	assert.Equal(t, 1, firsts)
	var again sent
	ann.must(http.StatusOK, "POST", lobbyMessages, object{"client_id": "same", "message": "other"}, &again)
	assert.True(t, again.Duplicate)
	assert.Equal(t, "hello", again.Message.Message, "the answer is what is stored")
	bob.must(http.StatusCreated, "POST", lobbyMessages, body, nil)
	assert.Equal(t, []string{"hello", "hello"}, ann.texts(lobby))
	other := ann.room(openRoom)
	ann.refused(http.StatusConflict, "conflict", "POST", roomPath(other.ID, "/messages"), body)
}

func TestLimitSaysHowLongToWait(t *testing.T) {
	s := newSite(t)
	// No test takes as long as this.
	s.chat.limits.messages = newWindow(10, time.Hour)
	ann := s.signedIn("Ann")
	for i := range 10 {
		ann.post(lobby, object{"client_id": fmt.Sprint("m", i), "message": "x"})
	}
	body := object{"client_id": "m10", "message": "x"}
	p := ann.refused(http.StatusTooManyRequests, "rate_limited", "POST", lobbyMessages, body)
	assert.Equal(t, fmt.Sprintf("You are sending very fast. Try again in %d seconds.", p.RetryAfter), p.Message)
	assert.LessOrEqual(t, p.RetryAfter, 3600)
	resp := ann.do("POST", lobbyMessages, body)
	require.NoError(t, resp.Body.Close())
	assert.NotEmpty(t, resp.Header.Get("Retry-After"))
	// A retry of what is stored costs nothing.
	ann.must(http.StatusOK, "POST", lobbyMessages, object{"client_id": "m0", "message": "x"}, nil)
	assert.Len(t, ann.texts(lobby), 10)
	s.signedIn("Bob").say(lobby, "others are not held up")
}

func TestRepliesAndMentions(t *testing.T) {
	s := newSite(t)
	ann, bob := s.signedIn("Ann"), s.signedIn("Bob")
	lee := s.signedIn("Ann Lee")
	asked := ann.say(lobby, "who is there?")
	m := bob.post(lobby, object{"message": "me, @Ann Lee! and @ann, not a@annoyed nor @bob", "reply_to": asked.ID})
	assert.Equal(t, &quote{asked.ID, ann.user.ID, "Ann", "who is there?", "text", false}, m.ReplyTo)
	assert.Equal(t, []int64{ann.user.ID, lee.user.ID}, m.Mentions)
	assert.Equal(t, 1, ann.rooms()[lobby].Mentions)

	ann.must(http.StatusOK, "DELETE", messagePath(asked), nil, nil)
	var page messagePage
	bob.must(http.StatusOK, "GET", lobbyMessages, nil, &page)
	quoted := page.Messages[len(page.Messages)-1].ReplyTo
	assert.True(t, quoted.Deleted)
	assert.Empty(t, quoted.Message)
}

func TestMessagesAreEditedAndDeleted(t *testing.T) {
	s := newSite(t)
	ann, bob := s.signedIn("Ann"), s.signedIn("Bob")
	m := ann.say(lobby, "helo @bob")
	bob.refused(http.StatusForbidden, "forbidden", "PATCH", messagePath(m), object{"message": "mine"})
	bob.refused(http.StatusForbidden, "forbidden", "DELETE", messagePath(m), nil)
	ann.refused(http.StatusBadRequest, "invalid", "PATCH", messagePath(m), object{"message": " "})
	ann.refused(http.StatusNotFound, "not_found", "PATCH", lobbyMessages+"/99", object{"message": "x"})
	ann.refused(http.StatusForbidden, "forbidden", "PATCH", lobbyMessages+"/1", object{"message": "x"}) // "Ann joined"
	ann.refused(http.StatusForbidden, "forbidden", "DELETE", lobbyMessages+"/1", nil)
	ann.refused(http.StatusConflict, "conflict", "PATCH", messagePath(m), object{"message": "hello", "rev": 7})

	var answer struct{ Message message }
	ann.must(http.StatusOK, "PATCH", messagePath(m), object{"message": "hello", "rev": m.Rev}, &answer)
	assert.Equal(t, "hello", answer.Message.Message)
	assert.NotZero(t, answer.Message.EditedAt)
	assert.Equal(t, m.Rev+1, answer.Message.Rev)
	assert.Empty(t, answer.Message.Mentions)
	assert.Zero(t, bob.rooms()[lobby].Mentions)

	bob.must(http.StatusOK, "PUT", messagePath(m)+"/reactions/👍", nil, nil)
	ann.must(http.StatusOK, "DELETE", messagePath(m), nil, &answer)
	assert.Empty(t, answer.Message.Message)
	assert.Empty(t, answer.Message.Reactions)
	assert.NotZero(t, answer.Message.DeletedAt)
	ann.refused(http.StatusConflict, "deleted", "PATCH", messagePath(m), object{"message": "x"})
	ann.refused(http.StatusConflict, "deleted", "DELETE", messagePath(m), nil)
	bob.refused(http.StatusConflict, "deleted", "PUT", messagePath(m)+"/reactions/👍", nil)
	var hits struct{ Hits []hit }
	bob.must(http.StatusOK, "GET", "/api/search?q=hello", nil, &hits)
	assert.Empty(t, hits.Hits, "what is deleted is not found")
	var stored string
	require.NoError(t, s.chat.db.QueryRow(`SELECT text FROM messages WHERE id = ?`, m.ID).Scan(&stored))
	assert.Empty(t, stored)
}

func TestReactions(t *testing.T) {
	s := newSite(t)
	ann, bob := s.signedIn("Ann"), s.signedIn("Bob")
	m := ann.say(lobby, "hello")
	react := func(v *visitor, method, emoji string) message {
		var answer struct{ Message message }
		v.must(http.StatusOK, method, messagePath(m)+"/reactions/"+url.PathEscape(emoji), nil, &answer)
		return answer.Message
	}
	react(ann, "PUT", "👍")
	both := react(bob, "PUT", "👍")
	assert.Equal(t, []reaction{{"👍", 2, []reactor{{ann.user.ID, "Ann"}, {bob.user.ID, "Bob"}}}}, both.Reactions)
	assert.Equal(t, both, react(bob, "PUT", "👍"), "once more changes nothing, the revision included")
	for _, emoji := range []string{"❤️", "👩‍💻", "🏳️‍🌈", "🇩🇪", "1️⃣", "👋🏽", "‼️"} {
		react(ann, "PUT", emoji)
	}
	assert.Len(t, react(bob, "DELETE", "👍").Reactions, 8)
	assert.Len(t, react(ann, "DELETE", "👍").Reactions, 7)
	for _, none := range []string{"a", "1", "<b>", "👍a", "\u200d", "../..", strings.Repeat("👍", 17), "%00"} {
		bob.refused(http.StatusBadRequest, "invalid", "PUT", messagePath(m)+"/reactions/"+url.PathEscape(none), nil)
	}
	for i := range maxKinds - 7 {
		react(bob, "PUT", string(rune(0x1f600+i)))
	}
	bob.refused(http.StatusConflict, "conflict", "PUT", messagePath(m)+"/reactions/🎹", nil)
	react(bob, "PUT", "❤️")
}

func TestReadMarks(t *testing.T) {
	s := newSite(t)
	ann, bob := s.signedIn("Ann"), s.signedIn("Bob")
	first, second := ann.say(lobby, "one"), ann.say(lobby, "two @bob")
	assert.Equal(t, 2, bob.rooms()[lobby].Unread)
	mark := func(id int64) (now reading) {
		bob.must(http.StatusOK, "PUT", roomPath(lobby, "/read"), object{"message_id": id}, &now)
		return now
	}
	assert.Equal(t, reading{lobby, first.ID, 1, 1}, mark(first.ID))
	assert.Equal(t, reading{lobby, second.ID, 0, 0}, mark(second.ID))
	assert.Equal(t, reading{lobby, second.ID, 0, 0}, mark(first.ID), "it never goes back")
	assert.Equal(t, reading{lobby, second.ID, 0, 0}, mark(9_999_999), "and not beyond what there is")
	assert.Equal(t, 1, func() int { ann.say(lobby, "three"); return bob.rooms()[lobby].Unread }())
	for _, id := range []any{0, -1} {
		bob.refused(http.StatusBadRequest, "invalid", "PUT", roomPath(lobby, "/read"), object{"message_id": id})
	}
	for range mostUnread {
		ann.say(lobby, "x")
	}
	assert.Equal(t, mostUnread, bob.rooms()[lobby].Unread, "counting ends somewhere")
}

func TestSearch(t *testing.T) {
	s := newSite(t)
	ann, bob := s.signedIn("Ann"), s.signedIn("Bob")
	private := ann.room(privateRoom)
	ann.say(lobby, "🎹 The carillon plays at noon")
	ann.say(lobby, "noon it is. Noon!")
	ann.say(private.ID, "secret noon")
	ann.say(lobby, "crème brûlée")
	find := func(v *visitor, query string) (found []string) {
		var answer struct {
			Hits      []hit
			HasBefore bool `json:"has_before"`
		}
		v.must(http.StatusOK, "GET", "/api/search?"+query, nil, &answer)
		for _, h := range answer.Hits {
			text := utf16.Encode([]rune(h.Message.Message))
			marked := ""
			for _, span := range h.Highlights {
				marked += "[" + string(utf16.Decode(text[span[0]:span[1]])) + "]"
			}
			found = append(found, h.RoomName+": "+marked)
		}
		return found
	}
	assert.Equal(t, []string{"Lobby: [noon][Noon]", "Lobby: [noon]"}, find(bob, "q=noon"))
	assert.Equal(t, []string{"Design: [noon]", "Lobby: [noon][Noon]", "Lobby: [noon]"}, find(ann, "q=noon"))
	assert.Equal(t, []string{"Design: [noon]"}, find(ann, fmt.Sprintf("q=noon&room_id=%d", private.ID)))
	assert.Empty(t, find(bob, fmt.Sprintf("q=noon&room_id=%d", private.ID)))
	assert.Equal(t, []string{"Lobby: [carillon][no]"}, find(ann, "q=carillon+no"))
	assert.Equal(t, []string{"Lobby: [crème]"}, find(ann, "q=creme"))
	// Where words stand without anything between them, any stretch is found.
	for _, text := range []string{"明天去北京大学上课", "พรุ่งนี้เรียนที่ห้องสมุด", "東京タワーのベル", `{"json": "鐘塔"}`, "Ａｎｎ, Ада и её ёлка"} {
		ann.say(lobby, text)
	}
	for query, want := range map[string]string{
		"北京": "北京", "大学": "大学", "去北": "去北", "学": "学", "明天去北京大学上课": "明天去北京大学上课", "สมุด": "สมุด", "ที่": "ที่", "タワー": "タワー",
		"json": "json", "鐘": "鐘", "ann": "Ａｎｎ", "елк": "ёлк", "АДА": "Ада",
	} {
		assert.Equal(t, []string{"Lobby: [" + want + "]"}, find(ann, "q="+url.QueryEscape(query)), query)
	}
	assert.Empty(t, find(ann, "q="+url.QueryEscape("京北")), "both are there, the other way round")
	assert.Empty(t, find(ann, "q="+url.QueryEscape("北京学上")), "each two neighbours are there, but not all together")
	assert.Equal(t, []string{"Design: [noon]"}, find(ann, "q=noon&limit=1"))
	for _, odd := range []string{`"`, `noon"`, "noon OR secret", "text:noon", "noon*", "NEAR(noon)", "-noon", "(noon", "'; DROP TABLE words"} {
		find(ann, "q="+url.QueryEscape(odd+" x"))
	}
	for query, field := range map[string]string{"q=": "q", "q=%2B%2B": "q", "q=" + strings.Repeat("x", 201): "q", "q=x&before=y": "before", "q=x&room_id=y": "room_id", "q=x&limit=0": "limit"} {
		assert.Equal(t, field, ann.refused(http.StatusBadRequest, "invalid", "GET", "/api/search?"+query, nil).Field, query)
	}
}

func TestWordsAreFiltered(t *testing.T) {
	s := newSite(t, func(c *config) { c.words = map[string]bool{"darn": true} })
	ann := s.signedIn("Ann")
	p := ann.refused(http.StatusUnprocessableEntity, "filtered", "POST", lobbyMessages, object{"client_id": "1", "message": "Darn it"})
	assert.Equal(t, "“darn” is not said here. Please find another word.", p.Message)
	m := ann.say(lobby, "darning is fine")
	ann.refused(http.StatusUnprocessableEntity, "filtered", "PATCH", messagePath(m), object{"message": "darn!"})
	assert.Equal(t, []string{"darning is fine"}, ann.texts(lobby), "nothing of it is stored")
}

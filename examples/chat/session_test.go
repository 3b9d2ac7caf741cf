package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestNamesAreChecked(t *testing.T) {
	s := newSite(t)
	long := strings.Repeat("p", maxPassphrase+1)
	for name, c := range map[string]struct {
		body         any
		status       int
		code, field  string
		messageParts string
	}{
		"empty":             {object{"name": " \t", "passphrase": passphrase}, 400, "invalid", "name", "give a name"},
		"too long":          {object{"name": strings.Repeat("é", 41), "passphrase": passphrase}, 400, "invalid", "name", "41 characters, and 40 fit"},
		"invisible":         {object{"name": "a\u202eb", "passphrase": passphrase}, 400, "invalid", "name", "cannot be shown"},
		"only joiners":      {object{"name": "\u200d \u200c\ufe0f", "passphrase": passphrase}, 400, "invalid", "name", "nothing that can be shown"},
		"blank letter":      {object{"name": "Ann\u3164", "passphrase": passphrase}, 400, "invalid", "name", "cannot be shown"},
		"blank mark":        {object{"name": "A\u034fnn", "passphrase": passphrase}, 400, "invalid", "name", "cannot be shown"},
		"blank symbol":      {object{"name": "\u2800", "passphrase": passphrase}, 400, "invalid", "name", "cannot be shown"},
		"two alphabets":     {object{"name": "\u0410nn", "passphrase": passphrase}, 400, "invalid", "name", "one alphabet"},
		"no passphrase":     {object{"name": "Ann"}, 400, "invalid", "passphrase", "8 to 200"},
		"short passphrase":  {object{"name": "Ann", "passphrase": "1234567"}, 400, "invalid", "passphrase", "8 to 200"},
		"long passphrase":   {object{"name": "Ann", "passphrase": long}, 400, "invalid", "passphrase", "8 to 200"},
		"role taken":        {object{"name": "Ann", "passphrase": passphrase, "role": "admin"}, 400, "invalid", "role", "invitation"},
		"forged invitation": {object{"name": "Ann", "passphrase": passphrase, "invite": "x"}, 404, "not_found", "invite", "not good"},
		"no JSON":           {"name=ada", 400, "bad_json", "", "not a JSON object"},
		"wrong type":        {`{"name":1}`, 400, "bad_json", "name", "number"},
		"body too big":      {`{"name":"` + strings.Repeat("a", maxBody) + `"}`, 413, "too_large", "", "64 KB"},
	} {
		t.Run(name, func(t *testing.T) {
			p := s.visitor().refused(c.status, c.code, "POST", "/api/session", c.body)
			assert.Equal(t, c.field, p.Field)
			assert.Contains(t, p.Message, c.messageParts)
		})
	}
}

func TestNamesOfAllScripts(t *testing.T) {
	s := newSite(t)
	for _, name := range []string{"👩\u200d💻 Zoë", "🇩🇪", "علی\u200cرضا", "श्री\u200dमती", "李", "Ада"} {
		assert.Equal(t, name, s.signedIn(name).user.Name)
	}
}

// TestNobodyIsASecondAnn claims a name, and tries to have it again in all the ways in
// which it looks the same.
func TestNobodyIsASecondAnn(t *testing.T) {
	s := newSite(t)
	ann := s.signedIn("  Ann \n Lee ")
	assert.Equal(t, "Ann Lee", ann.user.Name)
	for _, name := range []string{"Ann Lee", "ann lee", "ANN  LEE", "Ａｎｎ Ｌｅｅ", "A\u200dnn Lee", "Ann Lee\ufe0f", "Ann Iee", "Ann 1ee"} {
		p := s.visitor().refused(http.StatusForbidden, "wrong_passphrase", "POST", "/api/session", object{"name": name, "passphrase": "not the one"})
		assert.Equal(t, "passphrase", p.Field, name)
		assert.Contains(t, p.Message, "“Ann Lee” is taken")
	}
	s.signedIn("Сора") // Cyrillic, as a whole
	s.visitor().refused(http.StatusForbidden, "wrong_passphrase", "POST", "/api/session", object{"name": "Copa", "passphrase": "not the one"})
	var again struct{ User user }
	s.visitor().must(http.StatusOK, "POST", "/api/session", object{"name": "ann lee", "passphrase": passphrase}, &again)
	assert.Equal(t, ann.user, again.User)
}

// TestOneOfManyGetsAName has several people ask for one name at the same time.
func TestOneOfManyGetsAName(t *testing.T) {
	s := newSite(t)
	const many = 6
	statuses := make([]int, many)
	var wait sync.WaitGroup
	for i := range many {
		v := s.visitor()
		wait.Go(func() {
			resp := v.do("POST", "/api/session", object{"name": "Ann", "passphrase": fmt.Sprintf("the words of %d", i)})
			_ = resp.Body.Close()
			statuses[i] = resp.StatusCode
		})
	}
	wait.Wait()
	slices.Sort(statuses)
	assert.Equal(t, []int{201, 403, 403, 403, 403, 403}, statuses)
}

func TestPassphrasesCannotBeTriedOut(t *testing.T) {
	s := newSite(t)
	s.signedIn("Ann")
	var p problem
	for range 20 {
		var answer struct{ Error problem }
		if status, _ := s.visitor().call("POST", "/api/session", object{"name": "Ann", "passphrase": "not the one"}, &answer); status == http.StatusTooManyRequests {
			p = answer.Error
			break
		}
	}
	assert.Equal(t, "rate_limited", p.Code)
	assert.Positive(t, p.RetryAfter)
	s.signedIn("Bob") // others are not held up
}

func TestRolesComeByInvitation(t *testing.T) {
	s := newSite(t)
	admin, ann := s.invited("Root", "admin"), s.signedIn("Ann")
	assert.Equal(t, "admin", admin.user.Role)
	assert.Equal(t, "student", ann.user.Role)

	ann.refused(http.StatusForbidden, "forbidden", "POST", "/api/invitations", object{"role": "admin"})
	admin.refused(http.StatusBadRequest, "invalid", "POST", "/api/invitations", object{"role": "king"})
	var inv invitation
	admin.must(http.StatusCreated, "POST", "/api/invitations", object{"role": "teacher"}, &inv)
	token := strings.TrimPrefix(inv.URL, "/invite/")

	var shown struct {
		InviteRole string `json:"invite_role"`
	}
	s.visitor().must(http.StatusOK, "GET", "/api/session?invite="+token, nil, &shown)
	assert.Equal(t, "teacher", shown.InviteRole)
	s.visitor().must(http.StatusOK, "GET", "/api/session?invite=other", nil, &shown)
	assert.Empty(t, shown.InviteRole)

	var raised struct{ User user }
	ann.must(http.StatusOK, "POST", "/api/session", object{"name": "Ann", "passphrase": passphrase, "invite": token}, &raised)
	assert.Equal(t, user{ann.user.ID, "Ann", "teacher"}, raised.User)
	s.visitor().must(http.StatusOK, "POST", "/api/session", object{"name": "Ann", "passphrase": passphrase}, &raised)
	assert.Equal(t, "teacher", raised.User.Role, "who comes without the link keeps the role")
	admin.must(http.StatusOK, "POST", "/api/session", object{"name": "Root", "passphrase": passphrase, "invite": token}, &raised)
	assert.Equal(t, "admin", raised.User.Role, "no invitation lowers a role")
}

func TestDemoLetsOneChoose(t *testing.T) {
	s := newSite(t, func(c *config) { c.demo = true })
	var answer struct{ User user }
	s.visitor().must(http.StatusCreated, "POST", "/api/session", object{"name": "Zoe", "passphrase": passphrase, "role": "teacher"}, &answer)
	assert.Equal(t, "teacher", answer.User.Role)
	s.visitor().refused(http.StatusBadRequest, "invalid", "POST", "/api/session", object{"name": "Yan", "passphrase": passphrase, "role": "king"})
}

func TestSessionIsKeptUntilItEnds(t *testing.T) {
	s := newSite(t)
	var first struct{ User *user }
	s.visitor().must(http.StatusOK, "GET", "/api/session", nil, &first)
	assert.Nil(t, first.User, "being signed out is no error")
	s.visitor().refused(http.StatusUnauthorized, "signed_out", "GET", "/api/rooms", nil)

	ann := s.signedIn("Ann")
	u, err := http.NewRequest("GET", s.url, nil)
	require.NoError(t, err)
	cookies := ann.client.Jar.Cookies(u.URL)
	require.Len(t, cookies, 1)
	ann.must(http.StatusOK, "GET", "/api/session", nil, &first)
	assert.Equal(t, "Ann", first.User.Name)
	ann.must(http.StatusNoContent, "DELETE", "/api/session", nil, nil)
	ann.refused(http.StatusUnauthorized, "signed_out", "GET", "/api/rooms", nil)

	// Who has kept the cookie is signed out as well.
	thief := s.visitor()
	thief.client.Jar.SetCookies(u.URL, cookies)
	thief.refused(http.StatusUnauthorized, "signed_out", "GET", "/api/rooms", nil)

	ann = s.signedIn("Bob")
	_, err = s.chat.db.Exec(`UPDATE sessions SET expires_at = ?`, now()-1)
	require.NoError(t, err)
	ann.refused(http.StatusUnauthorized, "signed_out", "GET", "/api/rooms", nil)
}

func TestCookieIsSafe(t *testing.T) {
	s := newSite(t)
	resp := s.visitor().do("POST", "/api/session", object{"name": "Ann", "passphrase": passphrase})
	require.NoError(t, resp.Body.Close())
	cookie := resp.Cookies()[0]
	assert.True(t, cookie.HttpOnly)
	assert.Equal(t, http.SameSiteLaxMode, cookie.SameSite)
	assert.False(t, cookie.Secure, "the test server has no TLS")

	id, ok := s.chat.open(cookie.Value)
	require.True(t, ok)
	_, signature, _ := strings.Cut(cookie.Value, ".")
	other := &chat{keys: keys{session: []byte("another")}}
	for _, forged := range []string{"", ".", "x", id, id + ".", cookie.Value + "A", "x." + signature, other.seal(id)} {
		_, ok := s.chat.open(forged)
		assert.False(t, ok, forged)
	}

	behind := newSite(t, func(c *config) { c.url = "https://chat.example.com" })
	resp = behind.visitor().do("POST", "/api/session", object{"name": "Ann", "passphrase": passphrase})
	require.NoError(t, resp.Body.Close())
	assert.True(t, resp.Cookies()[0].Secure)
}

func FuzzCookie(f *testing.F) {
	c := &chat{keys: keys{session: []byte("secret")}}
	f.Add("a.b")
	f.Add(c.seal("id"))
	f.Fuzz(func(t *testing.T, value string) {
		if id, ok := c.open(value); ok {
			again, ok := c.open(c.seal(id))
			assert.True(t, ok)
			assert.Equal(t, id, again)
		}
	})
}

func TestOtherSitesCannotPost(t *testing.T) {
	s := newSite(t)
	ann := s.signedIn("Ann")
	for _, header := range [][2]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}} {
		ann.refused(http.StatusForbidden, "cross_origin", "POST", "/api/rooms/1/messages", object{"client_id": "x", "message": "x"}, header[0], header[1])
		ann.refused(http.StatusForbidden, "cross_origin", "DELETE", "/api/session", nil, header[0], header[1])
	}
	assert.Empty(t, ann.texts(lobby))
}

func TestAddressesForLimits(t *testing.T) {
	for name, c := range map[string]struct{ url, remote, forwarded, want string }{
		"direct":               {"", "1.2.3.4:5", "9.9.9.9", "1.2.3.4"},
		"a direct neighbour":   {"", "127.0.0.1:5", "9.9.9.9", "127.0.0.1"},
		"behind a proxy":       {"https://x.example", "127.0.0.1:5", "1.1.1.1, 9.9.9.9", "9.9.9.9"},
		"not by the proxy":     {"https://x.example", "1.2.3.4:5", "9.9.9.9", "1.2.3.4"},
		"a proxy that is mute": {"https://x.example", "10.0.0.1:5", "", "10.0.0.1"},
		"IPv6":                 {"", "[2606:4700:1:2:3:4:5:6]:5", "", "2606:4700:1:2::/64"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.remote
		r.Header.Set("X-Forwarded-For", c.forwarded)
		assert.Equal(t, c.want, (&chat{config: config{url: c.url}}).address(r), name)
	}
}

func TestPageIsSecured(t *testing.T) {
	s := newSite(t)
	for path, status := range map[string]int{"/": 200, "/room/7": 200, "/up": 200, "/room/7/message/1": 200, "/invite/x": 200, "/x.js": 404, "/api/x": 404, "/files/1": 404} {
		resp := s.visitor().do("GET", path, nil)
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, status, resp.StatusCode, path)
		assert.Contains(t, resp.Header.Get("Content-Security-Policy"), "default-src 'self'", path)
		assert.Equal(t, "nosniff", resp.Header.Get("X-Content-Type-Options"), path)
	}
}

func TestUsersAreFound(t *testing.T) {
	s := newSite(t)
	ann := s.signedIn("Ann Lee")
	s.signedIn("Bob_x")
	s.signedIn("Mia")
	for query, want := range map[string][]string{"": {"Mia", "Bob_x", "Ann Lee"}, "mi": {"Mia"}, "an": {"Ann Lee"}, "LEE": {"Ann Lee"}, "%": {}, "_": {}, "nn": {}, "\u0410nn": {"Mia", "Bob_x", "Ann Lee"}} {
		var answer struct{ Users []user }
		ann.must(http.StatusOK, "GET", "/api/users?q="+strings.ReplaceAll(query, "%", "%25"), nil, &answer)
		names := []string{}
		for _, u := range answer.Users {
			names = append(names, u.Name)
		}
		assert.Equal(t, want, names, query)
	}
}

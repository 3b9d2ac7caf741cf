package main

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// user is somebody who has chosen a name.
type user struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// sessions keeps users in signed cookies: who they are is theirs to carry, and
// nobody's to forge.
type sessions struct{ key []byte }

const (
	cookieName = "carillon_chat"
	cookieAge  = 7 * 24 * time.Hour
	// maxName is in characters.
	maxName = 40
)

func newSessions(secret string) sessions {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("chat session"))
	return sessions{key: mac.Sum(nil)}
}

func (s sessions) signIn(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Name string `json:"name"`
	}
	if !readJSON(w, r, &body) {
		return
	}
	name := strings.Join(strings.Fields(body.Name), " ")
	if problem := checkName(name); problem != "" {
		writeError(w, http.StatusBadRequest, "name", problem)
		return
	}
	u := user{ID: rand.Text(), Name: name}
	if old, ok := s.user(r); ok {
		u.ID = old.ID
	}
	s.setCookie(w, r, s.seal(u), int(cookieAge/time.Second))
	writeJSON(w, http.StatusOK, u)
}

func checkName(name string) string {
	n := utf8.RuneCountInString(name)
	switch {
	case n == 0:
		return "is empty"
	case n > maxName:
		return fmt.Sprintf("is too long: %d characters, the limit is %d", n, maxName)
	case strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsGraphic(r) && !joiner(r) }):
		return "has characters that cannot be shown"
	case !strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsMark(r) && !unicode.IsSpace(r) && !joiner(r) }):
		return "has nothing that can be shown"
	}
	return ""
}

// joiner says whether r shapes its neighbours: several scripts and many emoji
// need the zero-width joiner or non-joiner.
func joiner(r rune) bool { return r == '\u200c' || r == '\u200d' }

func (s sessions) show(w http.ResponseWriter, r *http.Request) {
	u, ok := s.user(r)
	if !ok {
		writeError(w, http.StatusUnauthorized, "", "no session: choose a name first")
		return
	}
	writeJSON(w, http.StatusOK, u)
}

func (s sessions) signOut(w http.ResponseWriter, r *http.Request) {
	s.setCookie(w, r, "", -1)
	w.WriteHeader(http.StatusNoContent)
}

// required calls next with the user of the request's session.
func (s sessions) required(next func(http.ResponseWriter, *http.Request, user)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u, ok := s.user(r)
		if !ok {
			writeError(w, http.StatusUnauthorized, "", "no session: choose a name first")
			return
		}
		next(w, r, u)
	})
}

func (s sessions) setCookie(w http.ResponseWriter, r *http.Request, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{
		Name: cookieName, Value: value, Path: "/", MaxAge: maxAge,
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: r.TLS != nil,
	})
}

// user returns who the request's cookie says it comes from.
func (s sessions) user(r *http.Request) (user, bool) {
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return user{}, false
	}
	return s.open(cookie.Value)
}

// seal returns "payload.signature", both in base64.
func (s sessions) seal(u user) string {
	payload := []byte(u.ID + "\n" + u.Name)
	enc := base64.RawURLEncoding
	return enc.EncodeToString(payload) + "." + enc.EncodeToString(s.sign(payload))
}

func (s sessions) open(value string) (user, bool) {
	head, tail, _ := strings.Cut(value, ".")
	payload, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil {
		return user{}, false
	}
	signature, err := base64.RawURLEncoding.DecodeString(tail)
	if err != nil || !hmac.Equal(signature, s.sign(payload)) {
		return user{}, false
	}
	id, name, ok := strings.Cut(string(payload), "\n")
	return user{ID: id, Name: name}, ok
}

func (s sessions) sign(payload []byte) []byte {
	mac := hmac.New(sha256.New, s.key)
	mac.Write(payload)
	return mac.Sum(nil)
}

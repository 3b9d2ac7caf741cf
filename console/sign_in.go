package console

import (
	"net/http"
	"strings"
)

// sessionState tells the page whether it has to ask for a token.
func (c *Console) sessionState(k *call) (any, error) {
	return struct {
		SignedIn bool     `json:"signedIn"`
		Methods  []string `json:"methods"`
	}{c.auth.allow(k.r) == nil, []string{c.auth.method()}}, nil
}

func (c *Console) signIn(k *call) (any, error) {
	a, ok := c.auth.(*tokenAuthorizer)
	if !ok {
		return nil, notFound("This console has no sign-in.")
	}
	var given struct {
		Token string `json:"token"`
	}
	if err := k.body(&given); err != nil {
		return nil, err
	}
	if err := a.check(k.r, given.Token); err != nil {
		return nil, err
	}
	cookie := sessionCookie(k.r, a.signIn())
	cookie.MaxAge = int(signedInTime.Seconds())
	http.SetCookie(k.w, cookie)
	return nil, nil
}

func (c *Console) signOut(k *call) (any, error) {
	a, ok := c.auth.(*tokenAuthorizer)
	if !ok {
		return nil, notFound("This console has no sign-in.")
	}
	if cookie, err := k.r.Cookie(cookieName); err == nil {
		a.signOut(cookie.Value)
	}
	cookie := sessionCookie(k.r, "")
	cookie.MaxAge = -1
	http.SetCookie(k.w, cookie)
	return nil, nil
}

// sessionCookie is sent to the console only, wherever it is mounted, and never with a
// request that another site has caused.
func sessionCookie(r *http.Request, value string) *http.Cookie {
	prefix := "/"
	if p, ok := strings.CutSuffix(requestPath(r), r.URL.EscapedPath()); ok && p != "" {
		prefix = p
	}
	return &http.Cookie{Name: cookieName, Value: value, Path: prefix, HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https"}
}

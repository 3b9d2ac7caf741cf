package console

import (
	"net/http"
)

// policy lets the page load what is embedded, and nothing else; nobody frames it.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"font-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// secure sets the headers that every answer has.
func secure(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
	h.Set("X-Robots-Tag", "noindex, nofollow")
}

// csrfHeader has to be sent with whatever changes something: a form of another site cannot.
const csrfHeader = "X-Carillon-Console"

var crossOrigin = http.NewCrossOriginProtection()

// ours reports whether a request comes from the console's own page, or from no page at all.
func ours(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "cross-site", "same-site":
		return false
	}
	if changes(r.Method) && r.Header.Get(csrfHeader) != "1" {
		return false
	}
	return crossOrigin.Check(r) == nil
}

func changes(method string) bool { return method != http.MethodGet && method != http.MethodHead }

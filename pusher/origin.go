package pusher

import (
	"net/url"
	"strings"
)

// allowed says whether the client may connect, and else which origin may not. A
// frame has to be of this server's own origin, or of one that is allowed anyway:
// otherwise any page could claim to be one, and name a page that is allowed.
func (d *Dial) allowed(patterns []string) (origin string, ok bool) {
	if !originAllowed(d.Origin, d.Host, patterns) {
		return d.Origin, false
	}
	if d.frame != "" && !originAllowed(d.frame, d.Host, nil) && !originAllowed(d.frame, d.Host, patterns) {
		return d.frame, false
	}
	return "", true
}

// originAllowed says whether a page of the origin may connect to host. patterns
// are an app's AllowedOrigins.
func originAllowed(origin, host string, patterns []string) bool {
	if origin == "" {
		return true
	}
	origin = strings.ToLower(origin)
	if len(patterns) == 0 {
		u, err := url.Parse(origin)
		return err == nil && u.Host != "" && u.Host == strings.ToLower(host)
	}
	for _, p := range patterns {
		if p == "*" || matchOrigin(strings.ToLower(p), origin) {
			return true
		}
	}
	return false
}

// matchOrigin matches a pattern in which a * stands for any text without a
// slash, so that none can reach beyond the scheme or the host.
func matchOrigin(pattern, origin string) bool {
	before, after, wild := strings.Cut(pattern, "*")
	if !wild {
		return pattern == origin
	}
	rest, ok := strings.CutPrefix(origin, before)
	if !ok {
		return false
	}
	for i := 0; i <= len(rest); i++ {
		if matchOrigin(after, rest[i:]) {
			return true
		}
		if i < len(rest) && rest[i] == '/' {
			return false
		}
	}
	return false
}

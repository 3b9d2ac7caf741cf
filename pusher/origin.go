package pusher

import (
	"fmt"
	"slices"
	"strings"
)

// maxOrigin bounds an origin in bytes: scheme, the longest host that there is and
// a port need less.
const maxOrigin = 512

// origin is an origin taken apart (RFC 6454), in lower case.
type origin struct {
	// scheme is http or https also where a client says ws or wss, which socket then
	// says.
	scheme string
	socket bool
	host   string
	// port is that of the scheme where there is none, and empty where the scheme has
	// none either.
	port string
}

// parseOrigin parses what a client says, which may end with a slash. Origins
// without a host, such as null and file://, are no *origin.
func parseOrigin(text string) (o origin, ok bool) {
	scheme, rest, ok := strings.Cut(strings.ToLower(text), "://")
	rest = strings.TrimSuffix(rest, "/")
	if !ok || scheme == "" || strings.ContainsAny(rest, "/?#@*") {
		return origin{}, false
	}
	o.scheme, o.socket = pageScheme(scheme)
	o.host, o.port, ok = cutPort(rest)
	if o.port == "" {
		o.port = defaultPort(o.scheme)
	}
	return o, ok && o.host != ""
}

// pageScheme is the scheme of the pages that connect with scheme.
func pageScheme(scheme string) (page string, socket bool) {
	switch scheme {
	case "ws":
		return "http", true
	case "wss":
		return "https", true
	}
	return scheme, false
}

func defaultPort(scheme string) string {
	switch scheme {
	case "http":
		return "80"
	case "https":
		return "443"
	}
	return ""
}

// cutPort cuts the port from a host, which may be an IPv6 address in brackets. It
// reports whether the port is a number, or a pattern of one.
func cutPort(hostport string) (host, port string, ok bool) {
	i := strings.LastIndexByte(hostport, ':')
	if i < 0 || strings.HasSuffix(hostport, "]") {
		return hostport, "", true
	}
	host, port = hostport[:i], hostport[i+1:]
	return host, port, port != "" && strings.Trim(port, "0123456789*") == "" &&
		(!strings.Contains(host, ":") || strings.HasSuffix(host, "]"))
}

// checkOrigins says why the client may not connect for where it comes from. An
// iframe has to be of an origin that is allowed itself: otherwise any page could
// claim to be one, and name a page that is allowed.
func (d *Dial) checkOrigins(app *App) error {
	if !originAllowed(d.Origin, d.Host, app) {
		return fmt.Errorf("origin %q is not allowed", d.Origin)
	}
	if d.iframe != "" && !originAllowed(d.iframe, d.Host, app) {
		return fmt.Errorf("origin %q of the SockJS iframe is not allowed: name the server in App.Hosts", d.iframe)
	}
	return nil
}

// originAllowed says whether a page of the origin may connect to host; see
// App.AllowedOrigins and App.Hosts.
func originAllowed(text, host string, app *App) bool {
	if text == "" {
		return true
	}
	if len(text) > maxOrigin {
		return false
	}
	if named, anybody := listed(text, app.AllowedOrigins); named || anybody {
		return true
	}
	o, parsed := parseOrigin(text)
	if !parsed {
		return false
	}
	if slices.ContainsFunc(app.Hosts, o.of) {
		return true
	}
	// No page has the origin ws://…, and so none can come from a name that somebody
	// has made point here.
	return (o.socket || len(app.AllowedOrigins) == 0 && len(app.Hosts) == 0) && o.of(host)
}

// listed reports whether one of the patterns names the origin, and whether one lets
// in anybody.
func listed(text string, patterns []string) (named, anybody bool) {
	if len(text) > maxOrigin {
		return false, false
	}
	o, parsed := parseOrigin(text)
	for _, pattern := range patterns {
		switch {
		case pattern == "*":
			anybody = true
		case parsed && o.matches(pattern), !parsed && sameName(pattern, text):
			return true, anybody
		}
	}
	return false, anybody
}

// sameName compares origins that have no host.
func sameName(pattern, text string) bool {
	return strings.EqualFold(strings.TrimRight(pattern, "/"), strings.TrimRight(text, "/"))
}

// of reports whether o is an origin of the host, which has a port, or a pattern of
// one, where that is not the scheme's.
func (o *origin) of(hostport string) bool {
	host, port, ok := cutPort(strings.ToLower(hostport))
	if port == "" {
		port = defaultPort(o.scheme)
	}
	return ok && host == o.host && glob(port, o.port)
}

// matches reports whether a valid pattern of App.AllowedOrigins is one of o.
func (o *origin) matches(pattern string) bool {
	scheme, rest, ok := strings.Cut(strings.ToLower(pattern), "://")
	if !ok || len(pattern) > maxOrigin {
		return false
	}
	scheme, _ = pageScheme(scheme)
	host, port, _ := cutPort(strings.TrimSuffix(rest, "/"))
	switch {
	case port != "":
	case strings.HasSuffix(host, "*"):
		port = "*"
	default:
		port = defaultPort(o.scheme)
	}
	return glob(scheme, o.scheme) && glob(host, o.host) && glob(port, o.port)
}

// glob matches a pattern in which a * stands for any text. It takes what lies
// between two of them where it comes first, and never looks again: the rest has
// most room then.
func glob(pattern, text string) bool {
	first, rest, wild := strings.Cut(pattern, "*")
	text, ok := strings.CutPrefix(text, first)
	if !wild || !ok {
		return ok && text == ""
	}
	for {
		part, more, wild := strings.Cut(rest, "*")
		if !wild {
			return strings.HasSuffix(text, part)
		}
		i := strings.Index(text, part)
		if i < 0 {
			return false
		}
		text, rest = text[i+len(part):], more
	}
}

// checkOrigin says what is wrong with a pattern of App.AllowedOrigins, or nothing.
func checkOrigin(pattern string) (problem string) {
	if len(pattern) > maxOrigin {
		return "is too long"
	}
	switch strings.ToLower(strings.TrimRight(pattern, "/")) {
	case "*", "null", "file:":
		return ""
	}
	scheme, rest, ok := strings.Cut(pattern, "://")
	host, _, port := cutPort(strings.TrimSuffix(rest, "/"))
	if !ok || !port || scheme == "" || host == "" || strings.ContainsAny(scheme+host, "/?#@ ") {
		return `is neither "*", "null", "file://" nor scheme://host[:port]`
	}
	return ""
}

// checkHost says what is wrong with a name of App.Hosts, or nothing.
func checkHost(hostport string) (problem string) {
	host, _, ok := cutPort(hostport)
	if !ok || host == "" || strings.ContainsAny(host, "/?#@* ") {
		return "is not host[:port]"
	}
	return ""
}

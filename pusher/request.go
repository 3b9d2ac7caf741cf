package pusher

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// clientIP is the address of the client of r: the peer's, or the nearest one in
// X-Forwarded-For that is not a trusted proxy.
func (o *options) clientIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	if !o.trusted(host) {
		return host
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop := strings.TrimSpace(hops[i])
		if _, err := netip.ParseAddr(hop); err != nil {
			return host
		}
		if host = hop; !o.trusted(hop) {
			return hop
		}
	}
	return host
}

// secure reports whether the client's connection is encrypted.
func (o *options) secure(r *http.Request) bool {
	if r.TLS != nil {
		return true
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	return err == nil && o.trusted(host) && strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
}

func (o *options) trusted(host string) bool {
	if len(o.trustedProxies) == 0 {
		return false
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	for _, p := range o.trustedProxies {
		if p.Contains(addr.Unmap()) {
			return true
		}
	}
	return false
}

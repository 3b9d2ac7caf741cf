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
		hop, ok := parseHop(strings.TrimSpace(hops[i]))
		if !ok {
			return host
		}
		if host = hop.String(); !o.trusted(host) {
			return host
		}
	}
	return host
}

// parseHop parses an address as proxies write it: some add the port.
func parseHop(hop string) (netip.Addr, bool) {
	if withPort, err := netip.ParseAddrPort(hop); err == nil {
		return withPort.Addr(), true
	}
	if inside, ok := strings.CutPrefix(hop, "["); ok {
		hop, ok = strings.CutSuffix(inside, "]")
		if !ok {
			return netip.Addr{}, false
		}
	}
	addr, err := netip.ParseAddr(hop)
	return addr, err == nil
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

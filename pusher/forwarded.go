package pusher

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// client is where a request comes from: as the connection has it, or as trusted
// proxies do.
type client struct {
	ip     string // without a port
	host   string // the host that it asked for, with the port where that is not usual
	secure bool   // whether its connection is encrypted
}

// client says who sends r: the peer, or the nearest hop that is no trusted proxy.
func (o *options) client(r *http.Request) client {
	c := client{ip: r.RemoteAddr, host: r.Host, secure: r.TLS != nil}
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		c.ip = host
	}
	if !o.trusted(c.ip) && !(o.trustUnix && overUnixSocket(r)) {
		return c
	}
	hops := forwarded(r.Header)
	var nearest hop
	for _, hop := range slices.Backward(hops) {
		nearest = hop
		addr, ok := parseHop(hop.addr)
		if !ok {
			break
		}
		if c.ip = addr.Unmap().String(); !o.trusted(c.ip) {
			break
		}
	}
	if nearest.host != "" {
		c.host = nearest.host
	}
	if proto := nearest.proto; strings.EqualFold(proto, "https") || strings.EqualFold(proto, "wss") {
		c.secure = true
	}
	return c
}

func overUnixSocket(r *http.Request) bool {
	addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && addr.Network() == "unix"
}

func (o *options) trusted(host string) bool {
	if len(o.trustedProxies) == 0 {
		return false
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(o.trustedProxies, func(p netip.Prefix) bool { return p.Contains(addr.Unmap()) })
}

// hop is what a proxy says of a connection that it took.
type hop struct {
	// addr is the peer's address, proto and host what the peer asked for.
	addr, proto, host string
}

// maxHops bounds how far back the way of a request is followed.
const maxHops = 32

// forwarded returns what proxies say of the way of a request, the last hop last. A
// proxy that writes X-Forwarded headers may pass on a Forwarded header (RFC 7239)
// that the client has made up, so that this counts only without the others.
func forwarded(h http.Header) []hop {
	addrs, protos, hosts := elements(h, "X-Forwarded-For"), elements(h, "X-Forwarded-Proto"), elements(h, "X-Forwarded-Host")
	if len(addrs)+len(protos)+len(hosts) == 0 {
		return parseForwarded(elements(h, "Forwarded"))
	}
	hops := make([]hop, max(len(addrs), 1))
	for i := range hops {
		hops[i] = hop{proto: entry(protos, i, len(addrs)), host: entry(hosts, i, len(addrs))}
		if len(addrs) > 0 {
			hops[i].addr = addrs[i]
		}
		if port := h.Get("X-Forwarded-Port"); hops[i].host != "" && usefulPort(port) && !hasPort(hops[i].host) {
			hops[i].host = net.JoinHostPort(strings.Trim(hops[i].host, "[]"), port)
		}
	}
	return hops
}

// entry is that of hop i in a list which has one for each of n hops, or, where
// proxies do not agree on how many there are, what the first of them has seen.
func entry(list []string, i, n int) string {
	switch len(list) {
	case 0:
		return ""
	case n:
		return list[i]
	}
	return list[0]
}

// usefulPort reports whether a port says more than the scheme does.
func usefulPort(port string) bool {
	return port != "" && port != "80" && port != "443" && strings.Trim(port, "0123456789") == ""
}

func hasPort(host string) bool {
	_, _, err := net.SplitHostPort(host)
	return err == nil
}

// elements returns the last maxHops elements of a header that is a list, in however
// many lines it comes. Commas within quotes do not separate.
func elements(h http.Header, name string) []string {
	lines := h.Values(name)
	if len(lines) == 0 {
		return nil
	}
	rest, quoted, end := strings.Join(lines, ","), false, 0
	var all []string
	end = len(rest)
	for i := end - 1; i >= -1 && len(all) < maxHops; i-- {
		switch {
		case i >= 0 && rest[i] == '"':
			quoted = !quoted
		case i < 0 || rest[i] == ',' && !quoted:
			all = append(all, strings.TrimSpace(rest[i+1:end]))
			end = max(i, 0)
		}
	}
	slices.Reverse(all)
	return all
}

// parseForwarded parses the elements of a Forwarded header.
func parseForwarded(elements []string) []hop {
	hops := make([]hop, len(elements))
	for i, element := range elements {
		for pair := range strings.SplitSeq(element, ";") {
			name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
			value = strings.Trim(value, `"`)
			switch strings.ToLower(name) {
			case "for":
				hops[i].addr = value
			case "proto":
				hops[i].proto = value
			case "host":
				hops[i].host = value
			}
		}
	}
	return hops
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

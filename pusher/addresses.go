package pusher

import (
	"fmt"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/transport"
)

// DefaultMaxPerAddress is how many connections one address may have, over all
// transports, where WithMaxPerAddress does not say.
const DefaultMaxPerAddress = 5000

// WithMaxPerAddress bounds the connections of one client address over all transports,
// at least 1; the default is DefaultMaxPerAddress. An IPv6 address counts as its /64,
// which is what one client has. Loopback, private and link-local addresses have no
// bound, as they may be those of a proxy that WithTrustedProxies does not name, with
// all its clients. Clients over the bound are closed with 4100, after which they
// connect again in a while; feeds are answered with 503. Both are counted in Stats.
func WithMaxPerAddress(n int) Option {
	return func(o *options) error {
		if n < 1 {
			return &broker.FieldError{Field: "max per address", Value: strconv.Itoa(n), Problem: "is not positive"}
		}
		o.maxPerAddress = n
		return nil
	}
}

// addresses count the connections of each client address.
type addresses struct {
	limit   int
	refused atomic.Int64

	mu   sync.Mutex
	open map[netip.Addr]int // guarded by mu
}

// place is a connection's part in what its address may have. It is given back once.
type place struct {
	addresses *addresses
	key       netip.Addr // not valid where there is no bound
	left      atomic.Bool
}

// addressKey returns what connections from ip are counted by; ok says whether they
// are.
func addressKey(ip string) (key netip.Addr, ok bool) {
	addr, err := netip.ParseAddr(ip)
	if err != nil { // a unix socket's
		return netip.Addr{}, false
	}
	addr = addr.Unmap().WithZone("")
	if addr.IsLoopback() || addr.IsPrivate() || addr.IsLinkLocalUnicast() {
		return netip.Addr{}, false
	}
	if addr.Is6() {
		prefix, err := addr.Prefix(64)
		if err != nil {
			return netip.Addr{}, false
		}
		addr = prefix.Addr()
	}
	return addr, true
}

// sameAddress reports whether connections from both are counted together.
func sameAddress(a, b string) bool {
	x, _ := addressKey(a)
	y, _ := addressKey(b)
	return x == y
}

// take takes a place, up to extra beyond the limit.
func (a *addresses) take(ip string, extra int) (*place, bool) {
	key, ok := addressKey(ip)
	if !ok {
		return &place{}, true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.open[key] >= a.limit+extra {
		return nil, false
	}
	if a.open == nil {
		a.open = make(map[netip.Addr]int)
	}
	a.open[key]++
	return &place{addresses: a, key: key}, true
}

func (p *place) leave() {
	if p == nil || p.addresses == nil || p.left.Swap(true) {
		return
	}
	a := p.addresses
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.open[p.key]--; a.open[p.key] == 0 {
		delete(a.open, p.key)
	}
}

// tell is how many connections beyond its limit an address may have at a time while
// they are told of the limit and closed.
func (a *addresses) tell() int { return a.limit/8 + 8 }

// crowded reports whether the address has used up those as well.
func (a *addresses) crowded(ip string) bool {
	key, ok := addressKey(ip)
	if !ok {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.open[key] >= a.limit+a.tell()
}

// place takes a place for a client of this address. Where there is none, the
// client that has been longest without naming its app gives way.
func (h *Handler) place(ip string) (*place, *closeError) {
	p, ok := h.addresses.take(ip, 0)
	if !ok && h.pendingDials.giveWay(ip) {
		p, ok = h.addresses.take(ip, h.addresses.tell()) // that one may take a moment to go
	}
	if !ok {
		h.addresses.refused.Add(1)
		return nil, &closeError{4100, fmt.Sprintf("over capacity: an address may have %d connections", h.addresses.limit)}
	}
	return p, nil
}

// placed wraps open so that its connection has a place among those of its
// address, or is told that there is none.
func (h *Handler) placed(ip string, open transport.Open) transport.Open {
	return func(conn transport.Conn) transport.Receiver {
		p, full := h.place(ip)
		if full != nil {
			p, _ = h.addresses.take(ip, h.addresses.tell())
			open = func(conn transport.Conn) transport.Receiver {
				reject(conn, full)
				return rejected{}
			}
		}
		return p.hold(conn, open)
	}
}

// hold calls open, and has the place given back when the connection ends.
func (p *place) hold(conn transport.Conn, open transport.Open) (r transport.Receiver) {
	defer func() {
		if r == nil { // open has refused, or panicked
			p.leave()
		}
	}()
	r = open(conn)
	if r != nil {
		r = placeHolder{r, p}
	}
	return r
}

// placeHolder is a receiver whose connection has a place.
type placeHolder struct {
	transport.Receiver
	place *place
}

// Gone implements transport.Watcher.
func (r placeHolder) Gone() { transport.DeliverGone(r.Receiver) }

// Closed implements transport.Receiver.
func (r placeHolder) Closed(code int, err error) {
	defer r.place.leave()
	r.Receiver.Closed(code, err)
}

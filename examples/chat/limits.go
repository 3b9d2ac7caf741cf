package main

import (
	"context"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/carillon-rt/carillon/ratelimit"
)

// limits bound how often something may be done.
type limits struct {
	buckets  *ratelimit.Memory
	messages *window
}

// messageSeconds is the time in which a user may send a number of messages.
const messageSeconds = 10

func newLimits(cfg config) limits {
	return limits{
		buckets:  ratelimit.NewMemory(),
		messages: newWindow(cfg.messages, messageSeconds*time.Second),
	}
}

func (l limits) take(ctx context.Context, key string, limit ratelimit.Limit, what string) error {
	d, err := l.buckets.Take(ctx, key, limit, 1)
	if err != nil || d.OK {
		return err
	}
	return tooFast(d.RetryAfter, what)
}

func tooFast(wait time.Duration, what string) *problem {
	seconds := int(math.Ceil(wait.Seconds()))
	p := refuse(http.StatusTooManyRequests, "rate_limited", "%s. Try again in %s.", what, inSeconds(seconds))
	p.RetryAfter = seconds
	return p
}

func inSeconds(n int) string {
	if n == 1 {
		return "a second"
	}
	return fmt.Sprintf("%d seconds", n)
}

// message takes one of the messages that a user may send.
func (l limits) message(u user) error {
	if wait := l.messages.take(userID(u.ID)); wait > 0 {
		return tooFast(wait, "You are sending very fast")
	}
	return nil
}

// react takes one of the small changes that a user may make, such as reactions.
func (l limits) react(ctx context.Context, u user) error {
	return l.take(ctx, "react/"+userID(u.ID), ratelimit.Limit{Rate: 5, Burst: 30}, "That is a lot at once")
}

// room takes one of the rooms that a user may make.
func (l limits) room(ctx context.Context, u user) error {
	return l.take(ctx, "room/"+userID(u.ID), ratelimit.Limit{Rate: 20. / 3600, Burst: 20}, "You have made many rooms")
}

// rename takes one of the names that a user may change to.
func (l limits) rename(ctx context.Context, u user) error {
	return l.take(ctx, "rename/"+userID(u.ID), ratelimit.Limit{Rate: 5. / 3600, Burst: 5}, "You have had many names")
}

// upload takes one of the files that a user may bring.
func (l limits) upload(ctx context.Context, u user) error {
	return l.take(ctx, "upload/"+userID(u.ID), ratelimit.Limit{Rate: 0.5, Burst: 20}, "That is a lot of files at once")
}

// search takes one of the searches that a user may make.
func (l limits) search(ctx context.Context, u user) error {
	return l.take(ctx, "search/"+userID(u.ID), ratelimit.Limit{Rate: 5, Burst: 30}, "That are many searches at once")
}

// signIn takes one of the tries that an address has for a name, and of those that
// it has for all names.
func (l limits) signIn(ctx context.Context, address, name string) error {
	key, _ := nameKey(name)
	if err := l.take(ctx, "name/"+address+"/"+key, ratelimit.Limit{Rate: 10. / 60, Burst: 10}, "That were many tries"); err != nil {
		return err
	}
	return l.take(ctx, "address/"+address, ratelimit.Limit{Rate: 1, Burst: 100}, "Many people sign in from here")
}

// address is who asks, as far as limits go: an IPv6 address by its /64. Behind a proxy
// it is what that says last.
func (c *chat) address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	if c.config.url != "" && near(ip) {
		hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
		if told, err := netip.ParseAddr(strings.TrimSpace(hops[len(hops)-1])); err == nil {
			ip = told
		}
	}
	if ip = ip.Unmap(); ip.Is6() {
		return netip.PrefixFrom(ip, 64).Masked().String()
	}
	return ip.String()
}

// proxies are where a proxy of one's own may stand.
var proxies = []netip.Prefix{
	netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"), netip.MustParsePrefix("10.0.0.0/8"),
	netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"), netip.MustParsePrefix("fc00::/7"),
}

func near(ip netip.Addr) bool {
	return slices.ContainsFunc(proxies, func(p netip.Prefix) bool { return p.Contains(ip.Unmap()) })
}

// atMost parses a number from 1 to most out of a query; empty means usual.
func atMost(field, text string, usual, most int) (int, error) {
	if text == "" {
		return usual, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return 0, invalid(field, "%s is not a number from 1 to %d.", field, most)
	}
	return n, nil
}

package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/ratelimit"
	"github.com/carillon-rt/carillon/transport"
	"github.com/carillon-rt/carillon/transport/websocket"
)

// checker looks for mistakes, and makes what the server is built of. What a library
// checks by itself is put to the library, one field at a time.
type checker struct {
	*notes
	c *Config
	// broken says that lines of the file were left out: nothing is missing for certain.
	broken bool
}

func (k *checker) all() {
	k.listen()
	k.admin()
	k.server()
	k.tls()
	k.storage()
	k.proxies()
	k.limits()
	k.rateLimits()
	k.apps()
	k.rules()
}

// problemOf is what a library says of a value, without its own name for the field.
func problemOf(err error) string {
	var field *broker.FieldError
	var option *transport.OptionError
	switch {
	case errors.As(err, &field):
		text := field.Problem
		if field.Value != "" {
			text = fmt.Sprintf("%q %s", field.Value, text)
		}
		if field.Limit > 0 {
			text += fmt.Sprintf(": %d, the limit is %d", field.Got, field.Limit)
		}
		return text
	case errors.As(err, &option):
		return strings.TrimSpace(option.Value + " " + option.Problem)
	}
	return err.Error()
}

// SplitAddress takes an address of Listen or Admin apart: tcp and host:port, or unix and
// a file.
func SplitAddress(s string) (network, address string) {
	if file, ok := strings.CutPrefix(s, "unix:"); ok {
		return "unix", file
	}
	return "tcp", s
}

// maxUnixPath is how long the path of a Unix socket may be, in bytes, on every system.
const maxUnixPath = 103

// address reports whether a setting is an address.
func (k *checker) address(field any, s string) bool {
	network, at := SplitAddress(s)
	if network == "unix" {
		if at == "" || len(at) > maxUnixPath {
			k.wrong(field, "%q is not unix: and a file's path of at most %d bytes", s, maxUnixPath)
			return false
		}
		return true
	}
	_, port, err := net.SplitHostPort(at)
	if err != nil {
		k.wrong(field, "%q is not host:port", s)
		return false
	}
	if n, err := net.LookupPort("tcp", port); err != nil || n > 65535 {
		k.wrong(field, "%q has no port from 0 to 65535", s)
		return false
	}
	return true
}

func (k *checker) listen() {
	s := &k.c.Settings
	if len(s.Listen) == 0 {
		k.wrong(&s.Listen, "is empty: clients need an address")
	}
	seen := make(map[string]bool)
	for i := range s.Listen {
		k.address(&s.Listen[i], s.Listen[i])
		if seen[s.Listen[i]] && !strings.HasSuffix(s.Listen[i], ":0") {
			k.wrong(&s.Listen[i], "%q is there twice", s.Listen[i])
		}
		seen[s.Listen[i]] = true
	}
	mode, err := strconv.ParseUint(s.UnixMode, 8, 32)
	if err != nil || mode > 0o777 {
		k.wrong(&s.UnixMode, `%q is not a file's permissions in octal, such as "0660"`, s.UnixMode)
	}
	k.c.Mode = fs.FileMode(mode)
	if p := strings.Trim(s.Prefix, "/"); p == "" {
		s.Prefix = ""
	} else if s.Prefix = "/" + p; !prefixForm.MatchString(s.Prefix) || path.Clean(s.Prefix) != s.Prefix {
		k.wrong(&s.Prefix, "%q is not a path of letters, digits and . _ ~ -", s.Prefix)
	}
}

var prefixForm = regexp.MustCompile(`^(/[A-Za-z0-9._~-]+)+$`)

// minToken is how long a token has to be that opens the console, in bytes.
const minToken = 16

func (k *checker) admin() {
	s := &k.c.Settings
	if s.AdminToken != "" && len(s.AdminToken) < minToken {
		k.wrong(&s.AdminToken, "has less than %d characters: openssl rand -hex 16 makes a good one", minToken)
	}
	if s.Admin == "" {
		if k.set(&s.AdminToken) {
			k.warn(&s.AdminToken, "opens nothing: there is no admin address")
		}
		return
	}
	if !k.address(&s.Admin, s.Admin) {
		return
	}
	if slices.Contains(s.Listen, s.Admin) && !strings.HasSuffix(s.Admin, ":0") {
		k.wrong(&s.Admin, "%q is where clients connect: it needs an address of its own", s.Admin)
	}
	if s.AdminToken == "" && !OnlyHere(s.Admin) {
		k.wrong(&s.Admin, "%q can be reached from other machines: give an admin_token, or listen on 127.0.0.1", s.Admin)
	}
}

// OnlyHere reports whether an address of Listen or Admin can be reached from this machine
// alone.
func OnlyHere(address string) bool {
	network, at := SplitAddress(address)
	if network == "unix" {
		return true
	}
	host, _, _ := net.SplitHostPort(at)
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func (k *checker) server() {
	s := &k.c.Settings
	if s.Node == "" {
		k.wrong(&s.Node, "is empty")
	}
	if s.ActivityTimeout < time.Second {
		k.wrong(&s.ActivityTimeout, "%v is less than 1s", s.ActivityTimeout)
	} else if s.ActivityTimeout > time.Minute {
		k.warn(&s.ActivityTimeout, "%v is long: proxies close connections that are silent for 60s", s.ActivityTimeout)
	}
	if s.ShutdownTimeout < time.Second {
		k.wrong(&s.ShutdownTimeout, "%v is less than 1s", s.ShutdownTimeout)
	}
	if s.DrainWindow < 0 {
		k.wrong(&s.DrainWindow, "%v is negative", s.DrainWindow)
	}
	if s.CompressFrom < 0 {
		k.wrong(&s.CompressFrom, "%d is negative", s.CompressFrom)
	}
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, s.Log.Level) {
		k.wrong(&s.Log.Level, "%q is none of debug, info, warn, error", s.Log.Level)
	}
	if !slices.Contains([]string{"text", "json"}, s.Log.Format) {
		k.wrong(&s.Log.Format, "%q is neither text nor json", s.Log.Format)
	}
	a := &s.AmendmentNames
	for _, name := range []*string{&a.Edited, &a.Retracted, &a.Appended} {
		// Each alone, and all of them together below.
		names := broker.AmendmentNames{Edited: *name, Retracted: *name + "2", Appended: *name + "3"}
		if _, err := broker.New(broker.WithAmendmentNames(names)); err != nil {
			k.wrong(name, "%s", problemOf(err))
			return
		}
	}
	if _, err := broker.New(broker.WithAmendmentNames(broker.AmendmentNames{Edited: a.Edited, Retracted: a.Retracted, Appended: a.Appended})); err != nil {
		k.wrong(&a.Edited, "the names of the three events are not different")
	}
}

// soon is how long before its end a certificate is warned of.
const soon = 14 * 24 * time.Hour

func (k *checker) tls() {
	t := &k.c.TLS
	if t.Cert == "" && t.Key == "" {
		return
	}
	if t.Cert == "" || t.Key == "" {
		field := &t.Cert
		if t.Cert == "" {
			field = &t.Key
		}
		k.wrong(field, "certificate and key belong together: only one is given")
		return
	}
	pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
	if err != nil {
		k.wrong(&t.Cert, "certificate and key: %v", err)
		return
	}
	leaf := pair.Leaf
	if leaf == nil {
		leaf, err = x509.ParseCertificate(pair.Certificate[0])
	}
	if err != nil {
		return
	}
	switch left := time.Until(leaf.NotAfter); {
	case left < 0:
		k.warn(&t.Cert, "the certificate HAS ENDED, on %s: clients refuse it", leaf.NotAfter.Format(time.DateOnly))
	case left < soon:
		k.warn(&t.Cert, "the certificate ends on %s", leaf.NotAfter.Format(time.DateOnly))
	}
}

func (k *checker) storage() {
	s := &k.c.Settings
	file, isFile := strings.CutPrefix(s.Storage, "sqlite:")
	if s.Storage != "memory" && (!isFile || file == "") {
		k.wrong(&s.Storage, "%q is neither memory nor sqlite:FILE", s.Storage)
	} else if isFile {
		if info, err := os.Stat(filepath.Dir(file)); err != nil || !info.IsDir() {
			k.wrong(&s.Storage, "there is no folder %s", filepath.Dir(file))
		}
	}
	if s.StorageTimeout <= 0 {
		k.wrong(&s.StorageTimeout, "%v is not above 0", s.StorageTimeout)
	}
	q := &s.SQLite
	for _, f := range []struct {
		field *int
		least int
	}{{&q.Readers, 1}, {&q.QueueEvents, 1}, {&q.QueueBytes, 1}, {&q.LastSeenLimit, 0}} {
		if *f.field < f.least {
			k.wrong(f.field, "%d is less than %d", *f.field, f.least)
		}
	}
	for _, d := range []*time.Duration{&q.BusyTimeout, &q.ForgetAfter} {
		if *d < 0 {
			k.wrong(d, "%v is negative", *d)
		}
	}
	if k.set(q) && !isFile {
		k.warn(q, "does nothing: storage is %s", s.Storage)
	}
}

func (k *checker) proxies() {
	for i := range k.c.TrustedProxies {
		s := k.c.TrustedProxies[i]
		if s == "unix" {
			k.c.TrustUnix = true
			continue
		}
		p, err := netip.ParsePrefix(s)
		if addr, notAddr := netip.ParseAddr(s); notAddr == nil {
			p, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		if err != nil {
			k.wrong(&k.c.TrustedProxies[i], "%q is neither an address nor a CIDR block", s)
			continue
		}
		if p.Bits() == 0 {
			k.warn(&k.c.TrustedProxies[i], "%q is everybody: any client can then say that it is another", s)
		}
		k.c.Proxies = append(k.c.Proxies, p)
	}
}

func (k *checker) limits() {
	l := &k.c.Limits
	for _, field := range []*int{&l.Connections, &l.FallbackSessions, &l.Feeds, &l.ConnectionsPerAddress, &l.QueueMessages, &l.QueueBytes} {
		if *field < 1 {
			k.wrong(field, "%d is less than 1", *field)
		}
	}
	for _, field := range []*int{&l.QueueBudget, &l.MessageBytes} {
		if k.set(field) && *field < 1 {
			k.wrong(field, "%d is less than 1: leave it out for what is worked out", *field)
		}
	}
	if l.QueueMessages >= 1 && l.QueueBytes >= 1 {
		if _, err := websocket.NewServer(websocket.WithQueueLimits(l.QueueMessages, l.QueueBytes)); err != nil {
			k.wrong(&l.QueueBytes, "%s", problemOf(err))
		}
	}
	for _, r := range []struct {
		rate *float64
		rule func(float64, int) ratelimit.Rule
	}{
		{&l.ConnectionRate, ratelimit.ConnectionsPerIP}, {&l.PublishRate, ratelimit.PublishesPerApp}, {&l.SubscribeRate, ratelimit.SubscribesPerSession},
	} {
		if !(*r.rate >= 0 && *r.rate <= ratelimit.MaxRate) {
			k.wrong(r.rate, "%v is not a rate from 0 to %g", *r.rate, float64(ratelimit.MaxRate))
		} else if *r.rate > 0 {
			rule := r.rule(*r.rate, max(int(2**r.rate), 1))
			if _, err := ratelimit.New(nil, rule); err != nil {
				k.wrong(r.rate, "%s", problemOf(err))
				continue
			}
			k.c.Rates = append(k.c.Rates, rule)
		}
	}
}

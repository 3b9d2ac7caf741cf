package main

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/pusher"
	"github.com/carillon-rt/carillon/ratelimit"
	"github.com/carillon-rt/carillon/transport"
	"github.com/carillon-rt/carillon/transport/websocket"
)

// config is what flags and environment say.
type config struct {
	addr, metrics   string
	prefix          string
	certificate     *tls.Certificate
	app             pusher.App
	defaultSecret   bool
	rules           []broker.ChannelRule
	activityTimeout time.Duration
	trustedProxies  []netip.Prefix
	trustUnix       bool
	limits          *ratelimit.Rules
	// readLimit bounds what a client sends at once, in bytes.
	readLimit int
	// compressFrom is from how many bytes on messages are compressed; 0 is never.
	compressFrom int
	debug        bool
	// database is the file that keeps history and presence; empty is memory.
	database string
}

// localOrigins are the pages that may connect where -origins does not say.
const localOrigins = "http://localhost,http://localhost:*,http://127.0.0.1,http://127.0.0.1:*," +
	"https://localhost,https://localhost:*,https://127.0.0.1,https://127.0.0.1:*"

// readConfig writes the help to output if it is asked for. Its errors name the
// flag or variable, and wrap errUsage.
func readConfig(args []string, env func(string) string, output io.Writer) (config, error) {
	c, err := parseConfig(args, env, output)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		return config{}, fmt.Errorf("%w; %w", err, errUsage)
	}
	return c, err
}

func parseConfig(args []string, env func(string) string, output io.Writer) (config, error) {
	getenv := func(name, fallback string) string {
		if v := env(name); v != "" {
			return v
		}
		return fallback
	}
	c := config{defaultSecret: env("PUSHER_APP_SECRET") == ""}
	c.app.ID = getenv("PUSHER_APP_ID", "1")
	c.app.Key = getenv("PUSHER_APP_KEY", "app-key")
	c.app.Secret = getenv("PUSHER_APP_SECRET", "app-secret")
	masterKey := env("PUSHER_ENCRYPTION_MASTER_KEY_BASE64")

	flags := flag.NewFlagSet("carillon run", flag.ContinueOnError)
	var text bytes.Buffer
	flags.SetOutput(&text)
	flags.Usage = func() {
		text.WriteString("Carillon serves one app, that of PUSHER_APP_ID (a number), PUSHER_APP_KEY and PUSHER_APP_SECRET.\n\n")
		flags.PrintDefaults()
	}
	flags.StringVar(&c.addr, "addr", getenv("ADDR", "127.0.0.1:6001"), "address to listen on, `host:port` (also ADDR)")
	flags.StringVar(&c.metrics, "metrics", "", "address to serve counts on, at /metrics in Prometheus' text format, `host:port`; empty serves none")
	flags.StringVar(&c.prefix, "prefix", "", "`path` to serve under, such as /realtime")
	certFile := flags.String("tls-cert", "", "`file` with the TLS certificate")
	keyFile := flags.String("tls-key", "", "`file` with the TLS certificate's key")
	origins := flags.String("origins", localOrigins, "pages that may connect: a comma-separated `list` of patterns, or * for all; empty allows pages of the host they connect to")
	hosts := flags.String("hosts", "", "names under which clients reach the server, a comma-separated `list` of host[:port]: their pages may connect as well, and SockJS needs them where -origins is set")
	flags.StringVar(&masterKey, "encryption-master-key", masterKey, "`key` of encrypted channels, 32 bytes in base64 (also PUSHER_ENCRYPTION_MASTER_KEY_BASE64)")
	flags.Func("webhook", "`URL` to send webhooks to; may be given several times", func(url string) error {
		c.app.Webhooks = append(c.app.Webhooks, pusher.Webhook{URL: url})
		return nil
	})
	webhookEvents := flags.String("webhook-events", "", "comma-separated `list` of the events to send; empty sends all")
	webhookPrefix := flags.String("webhook-channels", "", "`prefix` of the channels whose events are sent")
	webhookBatch := flags.Bool("webhook-batch", false, "send several webhook events in one request")
	flags.Func("history", "keep the last n events of channels that match a pattern, `pattern=n[,age]`; may be given several times", func(s string) error {
		rule, err := parseRule(s)
		c.rules = append(c.rules, rule)
		return err
	})
	storage := flags.String("storage", "memory", "`where` events that -history keeps, and members, are: memory, or sqlite:FILE, which outlives the process and may be shared by several")
	rewind := flags.Int("rewind", 0, "give new subscribers up to the last `n` events that -history keeps, at most 8192")
	grace := flags.Duration("leave-grace", 0, "how long members of presence channels stay after their last connection has gone")
	flags.DurationVar(&c.activityTimeout, "activity-timeout", pusher.DefaultActivityTimeout, "how long a connection may be silent before it is pinged")
	flags.DurationVar(&c.app.AuthorizationTimeout, "authorization-timeout", 0, "close connections that have authorized nothing by then; 0 never does")
	flags.BoolVar(&c.app.SubscriptionCounts, "subscription-counts", false, "tell subscribers how many there are")
	flags.BoolVar(&c.app.DisableClientEvents, "no-client-events", false, "refuse events that clients send to each other")
	flags.BoolVar(&c.app.Disabled, "disabled", false, "refuse all connections and requests")
	flags.IntVar(&c.app.MaxConnections, "max-connections", 0, "bound of the connections; 0 sets none")
	flags.IntVar(&c.app.Limits.ClientEventsPerSecond, "client-events-per-second", 10, "bound of the events that one connection sends to others; negative sets none")
	flags.IntVar(&c.app.Limits.PresenceMembers, "presence-members", 100, "bound of the members of one presence channel")
	flags.IntVar(&c.app.Limits.EventBytes, "event-bytes", 10<<10, "bound of an event's data, in bytes, up to 1048576")
	connections := flags.Float64("connections-per-ip", 0, "new connections a second and IP address; 0 sets no bound")
	publishes := flags.Float64("publishes-per-second", 0, "events a second over the HTTP API; 0 sets no bound")
	subscribes := flags.Float64("subscribes-per-second", 0, "subscriptions a second and connection; 0 sets no bound")
	proxies := flags.String("trusted-proxies", "", "comma-separated `list` of the addresses or CIDR blocks of proxies whose X-Forwarded headers are believed; unix is those that connect over a Unix socket")
	flags.IntVar(&c.compressFrom, "compress", 0, "compress WebSocket messages of at least so many `bytes` for clients that can; 0 compresses none")
	flags.BoolVar(&c.debug, "debug", false, "log refused connections and requests too, and webhooks that will be sent again")
	if err := flags.Parse(args); err != nil {
		// Every parse error ends in the help; only who asks for it wants it.
		if errors.Is(err, flag.ErrHelp) {
			_, _ = text.WriteTo(output)
		}
		return config{}, err
	}
	if flags.NArg() > 0 {
		return config{}, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}

	if _, _, err := net.SplitHostPort(c.addr); err != nil {
		return config{}, fmt.Errorf("-addr %q is not host:port", c.addr)
	}
	if _, _, err := net.SplitHostPort(c.metrics); err != nil && c.metrics != "" {
		return config{}, fmt.Errorf("-metrics %q is not host:port", c.metrics)
	}
	if file, ok := strings.CutPrefix(*storage, "sqlite:"); ok && file != "" {
		c.database = file
	} else if *storage != "memory" {
		return config{}, fmt.Errorf("-storage %q is neither memory nor sqlite:FILE", *storage)
	}
	c.app.AllowedOrigins, c.app.Hosts = list(*origins), list(*hosts)
	if *webhookEvents+*webhookPrefix != "" || *webhookBatch {
		if len(c.app.Webhooks) == 0 {
			return config{}, errors.New("-webhook-events, -webhook-channels and -webhook-batch need -webhook")
		}
	}
	for i := range c.app.Webhooks {
		w := &c.app.Webhooks[i]
		w.Events, w.ChannelPrefix, w.Batch = list(*webhookEvents), *webhookPrefix, *webhookBatch
	}
	switch {
	case *rewind < 0:
		return config{}, fmt.Errorf("-rewind %d is negative", *rewind)
	case *rewind > 0 && len(c.rules) == 0:
		return config{}, fmt.Errorf("-rewind %d needs -history: nothing is kept without", *rewind)
	case *rewind > maxRewind:
		return config{}, fmt.Errorf("-rewind %d is more than %d: all of them wait for the connection at once", *rewind, maxRewind)
	case *grace < 0:
		return config{}, fmt.Errorf("-leave-grace %v is negative", *grace)
	case c.compressFrom < 0:
		return config{}, fmt.Errorf("-compress %d is negative", c.compressFrom)
	case c.activityTimeout < time.Second:
		return config{}, fmt.Errorf("-activity-timeout %v is less than 1s", c.activityTimeout)
	// The library takes 0 for its default, which is not what a flag of 0 says.
	case c.app.Limits.EventBytes < 1:
		return config{}, fmt.Errorf("-event-bytes %d is less than 1", c.app.Limits.EventBytes)
	case c.app.Limits.EventBytes > broker.DefaultMaxEventBytes:
		return config{}, fmt.Errorf("-event-bytes %d is more than %d", c.app.Limits.EventBytes, broker.DefaultMaxEventBytes)
	case c.app.Limits.PresenceMembers < 1:
		return config{}, fmt.Errorf("-presence-members %d is less than 1", c.app.Limits.PresenceMembers)
	case c.app.Limits.ClientEventsPerSecond == 0:
		return config{}, errors.New("-client-events-per-second 0 lets nobody send: that is -no-client-events")
	}
	// In JSON within JSON the data takes up to twice its size.
	room := 2*c.app.Limits.EventBytes + 16<<10
	c.app.Limits.RequestBytes = max(pusher.DefaultLimits.RequestBytes, room)
	c.readLimit = max(websocket.DefaultReadLimit, room)
	for i := range c.rules {
		c.rules[i].Rewind = min(*rewind, c.rules[i].History.Events)
		c.rules[i].LeaveGrace = *grace
	}
	c.rules = append(c.rules, broker.ChannelRule{Pattern: "*", LeaveGrace: *grace})
	return c, errors.Join(c.setTLS(*certFile, *keyFile), c.setLimits(*connections, *publishes, *subscribes),
		c.check(masterKey, *proxies))
}

// maxRewind is half of what may wait for a connection.
const maxRewind = transport.DefaultQueueMessages / 2

var prefixForm = regexp.MustCompile(`^(/[A-Za-z0-9._~-]+)+$`)

// check completes the configuration with what has to be parsed.
func (c *config) check(masterKey, proxies string) error {
	if id, err := strconv.ParseUint(c.app.ID, 10, 64); err != nil {
		return fmt.Errorf("PUSHER_APP_ID %q is not a number: SDKs cannot parse others out of a URL", c.app.ID)
	} else if id == 0 {
		return fmt.Errorf("PUSHER_APP_ID is 0")
	}
	if p := strings.Trim(c.prefix, "/"); p == "" {
		c.prefix = ""
	} else if c.prefix = "/" + p; !prefixForm.MatchString(c.prefix) || path.Clean(c.prefix) != c.prefix {
		return fmt.Errorf("-prefix %q is not a path of letters, digits and . _ ~ -", c.prefix)
	}
	if masterKey != "" {
		key, err := base64.StdEncoding.DecodeString(masterKey)
		if err != nil {
			return fmt.Errorf("-encryption-master-key is not base64: %w", err)
		}
		c.app.EncryptionMasterKey = key
	}
	for _, s := range list(proxies) {
		if s == "unix" {
			c.trustUnix = true
			continue
		}
		p, err := netip.ParsePrefix(s)
		if addr, notAddr := netip.ParseAddr(s); notAddr == nil {
			p, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		if err != nil {
			return fmt.Errorf("-trusted-proxies: %q is neither an address nor a CIDR block", s)
		}
		c.trustedProxies = append(c.trustedProxies, p)
	}
	return named(c.app.Check())
}

// named puts the flag that has set a field of the app before its error.
func named(err error) error {
	var wrong *broker.FieldError
	if !errors.As(err, &wrong) {
		return err
	}
	for _, f := range []struct{ field, flag string }{
		{"AllowedOrigins", "-origins"}, {"Hosts", "-hosts"}, {"MaxConnections", "-max-connections"}, {"EncryptionMasterKey", "-encryption-master-key"},
		{"AuthorizationTimeout", "-authorization-timeout"}, {"Key", "PUSHER_APP_KEY"}, {"Webhooks", "-webhook"},
	} {
		if strings.HasPrefix(wrong.Field, f.field) {
			if strings.HasSuffix(wrong.Field, ".Events") {
				f.flag = "-webhook-events"
			} else if strings.HasSuffix(wrong.Field, ".ChannelPrefix") {
				f.flag = "-webhook-channels"
			}
			return fmt.Errorf("%s: %w", f.flag, err)
		}
	}
	return err
}

func (c *config) setTLS(certFile, keyFile string) error {
	if certFile == "" && keyFile == "" {
		return nil
	}
	if certFile == "" || keyFile == "" {
		return errors.New("-tls-cert and -tls-key belong together: only one is given")
	}
	certificate, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return fmt.Errorf("-tls-cert and -tls-key: %w", err)
	}
	c.certificate = &certificate
	return nil
}

func (c *config) setLimits(connections, publishes, subscribes float64) error {
	var rules []ratelimit.Rule
	for _, l := range []struct {
		flag string
		rate float64
		rule func(float64, int) ratelimit.Rule
	}{
		{"-connections-per-ip", connections, ratelimit.ConnectionsPerIP},
		{"-publishes-per-second", publishes, ratelimit.PublishesPerApp},
		{"-subscribes-per-second", subscribes, ratelimit.SubscribesPerSession},
	} {
		if !(l.rate >= 0 && l.rate <= ratelimit.MaxRate) {
			return fmt.Errorf("%s %v is not a rate from 0 to %g", l.flag, l.rate, float64(ratelimit.MaxRate))
		}
		if l.rate > 0 {
			rules = append(rules, l.rule(l.rate, max(int(2*l.rate), 1)))
		}
	}
	var err error
	c.limits, err = ratelimit.New(nil, rules...)
	return err
}

// parseRule parses "pattern=events[,age]".
func parseRule(s string) (broker.ChannelRule, error) {
	pattern, keep, ok := strings.Cut(s, "=")
	if !ok {
		return broker.ChannelRule{}, fmt.Errorf("%q has no number of events after a =", s)
	}
	count, age, aged := strings.Cut(keep, ",")
	n, err := strconv.Atoi(count)
	if err != nil {
		return broker.ChannelRule{}, fmt.Errorf("number of events: %w", err)
	}
	if n < 1 {
		return broker.ChannelRule{}, fmt.Errorf("number of events: %d is less than 1", n)
	}
	if _, err := path.Match(pattern, ""); err != nil || pattern == "" {
		return broker.ChannelRule{}, fmt.Errorf("%q is not a pattern", pattern)
	}
	rule := broker.ChannelRule{Pattern: pattern, History: broker.Retention{Events: n}}
	if aged {
		if rule.History.Age, err = time.ParseDuration(age); err != nil {
			return broker.ChannelRule{}, fmt.Errorf("age: %w", err)
		}
		if rule.History.Age <= 0 {
			return broker.ChannelRule{}, fmt.Errorf("age: %v is not above 0", rule.History.Age)
		}
	}
	return rule, nil
}

// list splits at commas and drops what is empty.
func list(s string) []string {
	var all []string
	for item := range strings.SplitSeq(s, ",") {
		if item = strings.TrimSpace(item); item != "" {
			all = append(all, item)
		}
	}
	return all
}

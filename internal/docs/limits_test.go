package docs

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// limits says for each row of the README's table of limits where the code has the
// numbers of its default. A number is a constant, or a field of a variable, after
// the folder of its package and a point; how it is written depends on the unit:
//
//	bytes     10 240 bytes, 64 KiB, 4 MiB
//	time      120 s, 5 minutes, 1 hour
//	any other 16 384 and then that word; _ is none
//
// Whoever adds a row to the table adds one here: a number that is not in the code
// under a name cannot be a limit.
var limits = map[string][]string{
	"channel name":         {"broker.MaxChannelName characters"},
	"event name":           {"broker.MaxEventName characters"},
	"event data over HTTP": {"pusher.DefaultLimits.EventBytes bytes"},
	"request over HTTP":    {"pusher.DefaultLimits.RequestBytes bytes", "pusher.BodyTimeout time"},
	"request to an authorization endpoint": {"pusher.maxAuthBody bytes", "pusher.BodyTimeout time",
		"pusher.maxAuthReading bodies"},
	"event data in process":                     {"broker.DefaultMaxEventBytes bytes"},
	"ID of an event, of an operation":           {"broker.MaxEventID characters", "broker.MaxOperationID bytes"},
	"query of a search":                         {"storage/words.MaxQuery bytes", "storage/words.MaxTerms words", "broker.MaxSearched channels"},
	"page of a search, and how many are ranked": {"broker.DefaultHits events", "broker.MaxHits _", "storage.MaxRanked _"},
	"event as it is encoded":                    {"half"},
	"past events at once":                       {"half"},
	"idempotency key, and how long it counts": {"pusher.maxIdempotencyKey bytes",
		"storage.DefaultIdempotencyWindow time", "422"},
	"channels in one publish":       {"pusher.DefaultLimits.ChannelsPerEvent _"},
	"events in a batch":             {"pusher.DefaultLimits.EventsPerBatch _"},
	"members of a presence channel": {"pusher.DefaultLimits.PresenceMembers _"},
	"user ID, user info":            {"broker.MaxUserID characters", "pusher.DefaultLimits.UserInfoBytes bytes"},
	"users on a watchlist":          {"pusher.DefaultLimits.Watchlist _"},
	"client events":                 {"pusher.DefaultLimits.ClientEventsPerSecond a second"},
	"channels of a connection": {"pusher.DefaultLimits.ChannelsPerConnection _",
		"pusher.DefaultLimits.AuthorizedChannelsPerConnection _"},
	"subscriptions of a connection": {"pusher.DefaultLimits.SubscribesPerSecond a second"},
	"messages of a connection":      {"pusher.DefaultLimits.MessagesPerSecond a second"},
	"past events and members for a connection": {"pusher.DefaultLimits.PastBytesPerSecond bytes",
		"broker.PastBytesPerChannel bytes"},
	"errors and pongs that a client does not read": {"pusher.DefaultLimits.UnreadAnswerBytes bytes"},
	"connections of an app":                        {"none"},
	"subscribers of a channel":                     {"none"},
	"queue of a connection":                        {"transport.DefaultQueueMessages messages", "transport.DefaultQueueBytes bytes"},
	"time of a SockJS client to name its app":      {"pusher.pendingTimeout time"},
	"connections: WebSocket, HTTP fallback, feeds": {"transport/websocket.DefaultMaxConnections each",
		"transport/xhr.DefaultMaxSessions each", "transport/sse.DefaultMaxConnections each"},
	"connections of an address (an IPv6 one is its first half)": {"pusher.DefaultMaxPerAddress _", "none"},
	"queue of the HTTP fallback, of feeds":                      {"transport.DefaultQueueMessages messages", "transport.DefaultQueueBytes bytes"},
	"channels of a feed":                                        {"pusher.MaxFeedChannels _"},
	"message from a client":                                     {"transport/websocket.DefaultReadLimit bytes", "transport/xhr.DefaultReadLimit bytes"},
	"body of a request of the HTTP fallback":                    {"transport/xhr.DefaultReadLimit bytes", "transport/xhr.DefaultReadTimeout time", "transport/xhr.maxReading at once"},
	"buffer of an in-process subscription":                      {"broker.DefaultBuffer events", "broker.DefaultBufferBytes bytes"},
	"all queues and buffers together":                           {"quarter"},
	"webhook events waiting for a URL": {"pusher.maxEndpointEvents _", "pusher.maxEndpointBytes bytes",
		"pusher.retryTime time"},
	"calls waiting for a set of hooks":                                                    {"broker.maxHookCalls _", "broker.maxHookCallBytes bytes"},
	"webhooks held back, in case they are undone":                                         {"pusher.maxHeld _"},
	"appends that wait for the writer of a SQLite file":                                   {"storage/sqlite.DefaultQueueEvents _", "storage/sqlite.DefaultQueueBytes bytes"},
	"wait for another transaction on a SQLite file":                                       {"storage/sqlite.DefaultBusyTimeout time"},
	"call of a store, look-up of an app":                                                  {"broker.DefaultStoreTimeout time", "none"},
	"call of a `ratelimit.Limiter`":                                                       {"ratelimit.LimiterTimeout time"},
	"lease of a broker on a presence store that is shared, after which its members leave": {"presence.Lease time"},
	"how far back clients resume, and read history":                                       {"all"},
	"page of history for a client":                                                        {"broker.MaxPage events", "broker.maxPageBytes bytes"},
	"page of history over HTTP":                                                           {"pusher.maxAPIPage events", "pusher.maxAPIPageBytes bytes"},
	"reads of a channel's past for those who subscribe":                                   {"broker.pastWindow time"},
	"history, rewind":                                                                     {"none", "broker.DefaultCacheTTL time"},
	"rates by IP, user, session, channel, event, app":                                     {"none"},
	"silence before a ping, and for the answer":                                           {"pusher.DefaultActivityTimeout time", "pusher.PongTimeout time"},
}

// row is a row of the table.
type row struct{ what, standard, option string }

func table(t *testing.T) (rows []row) {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	_, section, found := strings.Cut(string(text), "\n## Limits\n")
	require.True(t, found)
	section, _, _ = strings.Cut(section, "\n## ")
	for _, line := range regexp.MustCompile(`(?m)^\| (.*) \|$`).FindAllStringSubmatch(section, -1)[1:] {
		cells := strings.Split(line[1], " | ")
		require.Len(t, cells, 3, line[1])
		rows = append(rows, row{cells[0], cells[1], cells[2]})
	}
	return rows
}

// TestLimits compares every number of the table with the code.
func TestLimits(t *testing.T) {
	code := newCode(t)
	seen := make(map[string]bool)
	for _, r := range table(t) {
		seen[r.what] = true
		numbers, known := limits[r.what]
		if !assert.True(t, known, "%q is a row of the README's limits: say in limits where the code has it", r.what) {
			continue
		}
		rest := r.standard
		for _, number := range numbers {
			forms := []string{number}
			if name, unit, named := strings.Cut(number, " "); named {
				forms = written(code.value(t, name), unit)
			}
			form := regexp.MustCompile(`(^|[^\d. ] ?)(` + strings.Join(forms, "|") + `)\b`)
			if assert.Regexp(t, form, r.standard, "%q: the code has %s", r.what, number) {
				rest = form.ReplaceAllString(rest, "$1")
			}
		}
		assert.NotRegexp(t, `\d`, rest, "%q: the table says %q, and limits does not say where the code has all of it", r.what, r.standard)
	}
	for what := range limits {
		assert.True(t, seen[what], "%q is no row of the README's limits", what)
	}
}

// TestOptionsOfLimits looks whether what changes a limit is there.
func TestOptionsOfLimits(t *testing.T) {
	code := newCode(t)
	for _, r := range table(t) {
		options := regexp.MustCompile("`([^`]*)`").FindAllStringSubmatch(r.option, -1)
		if len(options) == 0 {
			assert.Regexp(t, `^(fixed|protocol)$`, r.option, r.what)
		}
		for _, option := range options {
			assert.True(t, code.exports(option[1]), "%q: there is no %s", r.what, option[1])
		}
	}
}

// written are the ways to write a number with its unit.
func written(n int64, unit string) []string {
	var all []string
	of := func(size int64, unit string) {
		if n >= size && n%size == 0 {
			all = append(all, grouped(n/size)+unit)
		}
	}
	switch unit {
	case "bytes":
		of(1, " bytes")
		of(1<<10, " KiB")
		of(1<<20, " MiB")
		of(1<<30, " GiB")
	case "time":
		of(1e6, " ms")
		of(1e9, " s")
		of(60e9, " minutes?")
		of(3600e9, " hours?")
	case "_":
		of(1, "")
	default:
		of(1, " "+unit)
	}
	if n == 0 {
		all = append(all, "none")
	}
	return all
}

// grouped writes a number in groups of three digits.
func grouped(n int64) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s %03d", grouped(n/1000), n%1000)
}

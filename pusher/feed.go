package pusher

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/transport"
	"github.com/carillon-rt/carillon/transport/sse"
)

// MaxFeedChannels is how many channels one feed may have.
const MaxFeedChannels = 20

// maxLastEventID bounds where a client says that it left off; the positions of
// MaxFeedChannels channels need less.
const maxLastEventID = 16 << 10

// SignFeed returns the token with which anybody may read the channels as a feed,
// until it expires, when the feed ends: give it as {prefix}/sse/app/{key}?channels=…&token=…, where
// channels are separated by commas; one with a comma in its name comes in a parameter
// of its own, named channel. Public channels need none. Neither the order of the channels matters nor how often one
// is named. Errors wrap broker.ErrInvalid and name a channel that no feed can have,
// or say that there are none or more than MaxFeedChannels.
func SignFeed(app *App, channels []string, expires time.Time) (string, error) {
	for _, channel := range channels {
		if err := checkFeedChannel(channel); err != nil {
			return "", err
		}
	}
	channels = slices.Compact(slices.Sorted(slices.Values(channels)))
	if n := len(channels); n == 0 {
		return "", &broker.FieldError{Field: "channels", Problem: "is empty"}
	} else if n > MaxFeedChannels {
		return "", &broker.FieldError{Field: "channels", Problem: "has too many", Limit: MaxFeedChannels, Got: n}
	}
	seconds := strconv.FormatInt(expires.Unix(), 10)
	return seconds + "." + feedSignature(app, channels, seconds), nil
}

// checkFeedChannel returns a *broker.FieldError for a channel that no feed can have.
func checkFeedChannel(name string) error {
	if err := broker.CheckChannelName(name); err != nil {
		return err
	}
	if base := broker.KindOf(name).Base(); base == broker.Presence || base == broker.ServerToUser {
		return &broker.FieldError{Field: "channel", Value: name,
			Problem: fmt.Sprintf("is a %s channel: a feed has nobody who could be its member", base)}
	}
	return nil
}

// feedSignature signs channels of which each is there once. Names may hold commas,
// but no line feed.
func feedSignature(app *App, channels []string, seconds string) string {
	return sign(app.Secret, feedText(channels, seconds)...)
}

// feedText is what is signed for a feed, in parts.
func feedText(channels []string, seconds string) []string {
	return []string{"feed:", seconds, ":", strings.Join(slices.Sorted(slices.Values(channels)), "\n")}
}

// verifyFeed returns when the token ends.
func verifyFeed(app *App, channels []string, token string) (expires time.Time, err error) {
	if token == "" {
		return time.Time{}, fmt.Errorf("%w: token is missing", ErrSignature)
	}
	seconds, got, _ := strings.Cut(token, ".")
	if !app.signed(got, feedText(channels, seconds)...) {
		return time.Time{}, fmt.Errorf("%w: token was not made with the app's secret for these channels", ErrSignature)
	}
	n, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil || time.Now().Unix() >= n {
		return time.Time{}, fmt.Errorf("%w: token has expired", ErrTimestamp)
	}
	return time.Unix(n, 0), nil
}

// ConnContext is to be set as the ConnContext of the http.Server, or to be called from
// there. With it, feeds notice within a minute that a client has vanished without
// closing its connection; see sse.ConnContext.
// Clients of the HTTP fallback that read slowly, but steadily, are told by it from
// those that do not read.
func ConnContext(ctx context.Context, c net.Conn) context.Context { return sse.ConnContext(ctx, c) }

// feedRoute takes the key from "{prefix}/sse/app/{key}".
func feedRoute(path string) (key string, ok bool) {
	key, ok = socketRoute(path)
	return key, ok && strings.HasSuffix(strings.TrimSuffix(path, "/app/"+key), "/sse")
}

// feedProtocol writes what the broker sends as blocks of a feed. What only matters to
// clients that can answer is left out.
var feedProtocol broker.Protocol = &feedWords{}

// namedFeedProtocol does so in blocks that have the event's name, and its data as it is,
// for those who listen by name.
var namedFeedProtocol broker.Protocol = &feedWords{named: true}

type feedWords struct {
	protocol
	named bool
}

// Encode implements broker.Protocol.
func (w *feedWords) Encode(n broker.Notice) *transport.Message {
	switch n := n.(type) {
	case broker.EventNotice:
		if w.named {
			return transport.NewMessage(sse.Named(feedID(n.Channel, n.Position), n.Name, n.Data))
		}
		// The same text as over a WebSocket, and the event's position as the id.
		return transport.NewMessage(sse.Block(feedID(n.Channel, n.Position), eventMessage(n.Event).Payload()))
	case broker.SubscribedNotice:
		var block []byte
		if !n.Position.IsZero() {
			// Who is cut off before the first event comes back to this position. It is
			// part of the block that follows.
			block = bytes.TrimSuffix(sse.Block(positionID(n.Channel, n.Position), nil), []byte("\n"))
		}
		if n.Resume == broker.ResumeGap {
			block = append(block, w.gap(n.Channel)...)
		}
		return transport.NewMessage(append(block, sse.Comment("subscribed to "+n.Channel)...))
	case broker.RevokedNotice:
		return transport.NewMessage(sse.Comment("authorization was revoked for " + n.Channel))
	case broker.CacheMissNotice:
		return transport.NewMessage(sse.Comment("no event yet on " + n.Channel))
	case broker.GapNotice:
		return transport.NewMessage(w.gap(n.Channel))
	}
	return nil
}

// gap is a block of its own name. Where events have theirs, it is one that none can have.
func (w *feedWords) gap(channel string) []byte {
	name := "gap"
	if w.named {
		name = "pusher:gap"
	}
	return sse.Named(sse.ID{}, name, append(appendString([]byte(`{"channel":`), channel), '}'))
}

// feedID is the id of a position; events that are not kept have none.
func feedID(channel string, p broker.Position) sse.ID {
	if p.IsZero() {
		return sse.ID{}
	}
	return positionID(channel, p)
}

func positionID(channel string, p broker.Position) sse.ID {
	return sse.ID{Channel: channel, Epoch: p.Epoch.String(), Offset: p.Offset}
}

// feedRequest is a request for a feed.
type feedRequest struct {
	*http.Request
	handler  *Handler
	app      *App
	rechecks uint64 // how many calls of Recheck there were before the app was looked up
	channels []string
	protocol broker.Protocol
	resume   map[string]broker.Position
	signed   error     // why private channels may not be read
	expires  time.Time // when they may not be any more
}

// serveFeed answers GET {prefix}/sse/app/{key}?channels=a,b&channel=c, of which the
// second may come again and again: its names may hold commas. A request that is
// refused gets a status, after which EventSource does not come back; see refuseFeed.
func (h *Handler) serveFeed(w http.ResponseWriter, r *http.Request, key string) {
	if r.Method == http.MethodOptions {
		// Whether the page may read the feed is answered with the feed.
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS")
		w.Header().Set("Access-Control-Allow-Headers", "Last-Event-ID, Cache-Control")
		w.Header().Set("Access-Control-Max-Age", "86400")
		w.WriteHeader(http.StatusNoContent)
		return
	}
	req, err := h.parseFeed(w, r, key)
	if err == nil && r.Method == http.MethodHead {
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Cache-Control", "no-store")
		return
	}
	if err == nil {
		full := h.feeds.Serve(w, r, func(conn transport.Conn) transport.Receiver {
			place, full := h.place(h.options.client(r).ip)
			if full != nil {
				err = &apiError{status: http.StatusServiceUnavailable, message: full.message, retryAfter: 1}
				return nil
			}
			return place.hold(conn, func(conn transport.Conn) transport.Receiver {
				var session *broker.Session
				if session, err = req.open(conn); err != nil {
					return nil
				}
				return feed{session}
			})
		})
		if errors.Is(full, http.ErrNotSupported) {
			h.log.Error("feed failed", "remote", r.RemoteAddr, "error", full)
			err = &apiError{status: http.StatusNotImplemented, message: full.Error()}
		} else if full != nil {
			err = &apiError{status: http.StatusServiceUnavailable, message: full.Error(), retryAfter: 1}
		}
	}
	if err != nil {
		h.refuseFeed(w, r, err)
	}
}

// feedRetry is how long an EventSource waits at least after a refusal that may pass.
const feedRetry = 3 * time.Second

// refuseFeed answers with what went wrong. EventSource gives up for good at every status
// but 200: where trying again may help, it gets a feed that has ended.
func (h *Handler) refuseFeed(w http.ResponseWriter, r *http.Request, err error) {
	a := answerTo(err)
	passes := a.status == http.StatusTooManyRequests || a.status >= 500 && a.status != http.StatusNotImplemented
	if !passes || !strings.Contains(r.Header.Get("Accept"), "text/event-stream") {
		h.writeError(w, r, err)
		return
	}
	h.logRefusal(r, &a, err)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = fmt.Fprintf(w, "retry: %d\n%s", max(a.retry, feedRetry).Milliseconds(), sse.Comment(clip(a.text)))
}

func (h *Handler) parseFeed(w http.ResponseWriter, r *http.Request, key string) (*feedRequest, error) {
	rechecks := h.rechecks.Load()
	app, err := h.appByKey(r.Context(), key)
	if errors.Is(err, ErrUnknownApp) {
		return nil, &apiError{status: http.StatusNotFound, message: fmt.Sprintf("app key %q does not exist", key)}
	} else if err != nil {
		return nil, fmt.Errorf("app lookup: %w", err)
	}
	d := h.dial(r, key)
	w.Header().Set("Vary", "Origin")
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		return nil, methodNotAllowed(r.Method, "GET, HEAD, OPTIONS")
	case app.Disabled:
		return nil, &apiError{status: http.StatusForbidden, message: "app is disabled"}
	case app.RequireTLS && !d.Secure:
		return nil, &apiError{status: http.StatusForbidden, message: "app accepts encrypted connections only: use https"}
	}
	if err := d.checkOrigins(app); err != nil {
		return nil, &apiError{status: http.StatusForbidden, message: err.Error()}
	}
	if d.Origin != "" {
		w.Header().Set("Access-Control-Allow-Origin", d.Origin)
	}
	req := &feedRequest{Request: r, handler: h, app: app, rechecks: rechecks, protocol: feedProtocol, resume: map[string]broker.Position{}}
	return req, req.parse()
}

// parse reads the channels, the token and where the client left off.
func (r *feedRequest) parse() error {
	query := r.URL.Query()
	for name := range strings.SplitSeq(query.Get("channels"), ",") {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		if err := r.addChannel(name); err != nil {
			return err
		}
	}
	for _, name := range query["channel"] {
		if err := r.addChannel(name); err != nil {
			return err
		}
	}
	if len(r.channels) == 0 {
		return badRequest("channels is missing: give 1 to %d, separated by commas", MaxFeedChannels)
	}
	switch named := query.Get("named"); named {
	case "", "0":
	case "1":
		r.protocol = namedFeedProtocol
	default:
		return badRequest("named %q is unknown: it is 1 for blocks with the names of events", named)
	}
	last := r.Header.Get("Last-Event-ID")
	if last == "" {
		last = query.Get("last_event_id") // for tools, and for pages that start where their content ends
	}
	if len(last) > maxLastEventID {
		return badRequest("Last-Event-ID is too long: %d bytes, the limit is %d", len(last), maxLastEventID)
	}
	for _, id := range sse.ParseID(last) {
		// An epoch that no store of ours has given is like one that is lost: a gap.
		epoch, _ := storage.ParseEpoch(id.Epoch)
		r.resume[id.Channel] = broker.Position{Epoch: epoch, Offset: id.Offset}
	}
	r.expires, r.signed = verifyFeed(r.app, r.channels, query.Get("token"))
	return nil
}

func (r *feedRequest) addChannel(name string) error {
	if slices.Contains(r.channels, name) {
		return nil
	}
	if len(r.channels) == MaxFeedChannels {
		return badRequest("channels has too many: the limit is %d", MaxFeedChannels)
	}
	if err := checkFeedChannel(name); err != nil {
		return err
	}
	r.channels = append(r.channels, name)
	return nil
}

// open connects a session and subscribes it to all channels, or to none.
func (r *feedRequest) open(conn transport.Conn) (*broker.Session, error) {
	h := r.handler
	d := h.dial(r.Request, r.app.Key)
	session, err := h.broker.Connect(r.Context(), broker.ConnectOptions{
		ConnectRequest: broker.ConnectRequest{App: r.app.ID, IP: d.IP, Origin: d.Origin, Client: d.Client,
			Version: d.Version, Transport: conn.Info().Transport, Secure: d.Secure, Header: textproto.MIMEHeader(d.Header)},
		Conn: conn, Protocol: r.protocol, MaxConnections: r.app.MaxConnections,
	})
	if err != nil {
		return nil, err
	}
	// Nothing is read from the client, so nothing else would tell that it has gone.
	stop := context.AfterFunc(r.Context(), session.Gone)
	defer stop()
	r.tellPositions(conn)
	for _, channel := range r.channels {
		if err := r.subscribe(session, channel); err != nil {
			session.End(transport.StatusAbnormal)
			return nil, err
		}
	}
	h.recheckNew(r.Context(), session, r.rechecks)
	return session, nil
}

// tellPositions says again where the client left off: an id names what was said
// on this connection, and a channel that stays silent must not be forgotten.
func (r *feedRequest) tellPositions(conn transport.Conn) {
	var ids []sse.ID
	for _, channel := range r.channels {
		if p := r.resume[channel]; !p.IsZero() {
			ids = append(ids, positionID(channel, p))
		}
	}
	if len(ids) > 0 {
		_ = conn.Send(transport.NewMessage(sse.Positions(ids...)))
	}
}

// subscribe starts one channel of the feed where the client left off. Where that
// cannot be done without a gap, the client is told so and gets what comes from
// now on.
func (r *feedRequest) subscribe(session *broker.Session, channel string) error {
	req := broker.SubscribeRequest{Channel: channel, Authorized: r.signed == nil}
	if broker.KindOf(channel).NeedsAuthorization() {
		req.Expires = r.expires
	}
	if from, ok := r.resume[channel]; ok {
		req.After = &from
	}
	return r.unsigned(session.Subscribe(session.Context(), req))
}

// unsigned puts in the place of a refusal why the token was not valid.
func (r *feedRequest) unsigned(err error) error {
	if errors.Is(err, broker.ErrUnauthorized) && r.signed != nil {
		return r.signed
	}
	return err
}

// feed is the receiver of a feed, whose client says nothing.
type feed struct{ session *broker.Session }

// Receive implements transport.Receiver.
func (feed) Receive([]byte) {}

// Closed implements transport.Receiver.
func (f feed) Closed(code int, _ error) { f.session.End(code) }

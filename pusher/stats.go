package pusher

import (
	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/transport/sse"
	"github.com/carillon-rt/carillon/transport/websocket"
	"github.com/carillon-rt/carillon/transport/xhr"
)

// Stats are the counts of a handler, by what carries its messages. Those of
// channels, sessions and refusals are broker.Stats.
type Stats struct {
	WebSocket websocket.Stats
	// XHR counts what pusher-js falls back to where WebSocket is blocked.
	XHR xhr.Stats
	// SockJSTimeouts are SockJS clients that did not say in time which app they
	// connect to.
	SockJSTimeouts int64
	// SockJSGaveWay are SockJS clients that had not named their app yet when their
	// place was needed for others.
	SockJSGaveWay int64
	// OverAddress are connections refused for the bound of WithMaxPerAddress.
	OverAddress int64
	Feeds       sse.Stats
	// MessagesLimited is how often a client was not read for a while, since it had
	// sent more than Limits.MessagesPerSecond.
	// AnswersDropped are errors and pongs that were left out because the client
	// did not read those before: see Limits.UnreadAnswerBytes.
	MessagesLimited, AnswersDropped int64
	// LateBodies are requests to the HTTP API whose body did not come within
	// BodyTimeout.
	LateBodies int64
	Webhooks   WebhookStats
	// LookupPanics is how many look-ups of apps panicked, LookupTimeouts how many
	// took longer than broker.WithStoreTimeout allows.
	LookupPanics, LookupTimeouts int64
}

// Stats returns the handler's counts. They are read one after another, so that
// those of a busy handler may not add up exactly. It is safe for concurrent use.
func (h *Handler) Stats() Stats {
	s := Stats{WebSocket: h.sockets.Stats(), XHR: h.xhr.Stats(), SockJSTimeouts: h.pendingDials.late.Load(),
		SockJSGaveWay: h.pendingDials.gaveWay.Load(), OverAddress: h.addresses.refused.Load(),
		MessagesLimited: h.limited.Load(), AnswersDropped: h.unread.Load(),
		Feeds: h.feeds.Stats(), LateBodies: h.bodies.late.Load(), Webhooks: h.webhooks.stats()}
	if l, ok := h.apps.(*lookups); ok {
		s.LookupPanics, s.LookupTimeouts = l.stats()
	}
	return s
}

// Traffic returns what was exchanged with clients over WebSockets. It is safe for concurrent
// use.
func (h *Handler) Traffic() broker.Traffic {
	s := h.sockets.Stats()
	return broker.Traffic{MessagesIn: s.MessagesIn, BytesIn: s.BytesIn, MessagesOut: s.MessagesOut, BytesOut: s.BytesOut}
}

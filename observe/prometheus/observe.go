package prometheus

import (
	"context"
	"errors"
	"strconv"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/ratelimit"
	"github.com/carillon-rt/carillon/storage"
)

// Observe implements broker.Observer.
func (m *Metrics) Observe(_ context.Context, o broker.Observation) {
	v := &m.vectors
	switch o := o.(type) {
	case broker.EventPublished:
		a := m.of(o.App)
		if o.Session == nil && o.Event.SocketID == "" {
			a.fromServer.Inc()
		} else {
			a.fromClients.Inc()
		}
		a.bytes.Add(float64(len(o.Event.Data)))
		a.delivered.Add(float64(o.Subscribers))
		a.publishing.Observe(o.Took.Seconds())
	case broker.MessageReceived:
		a := m.of(o.Session.App())
		a.received.Inc()
		a.receivedBytes.Add(float64(o.Bytes))
	case broker.FanOut:
		a := m.of(o.App)
		if o.Written > 0 {
			a.fanOut.Observe(o.Last.Seconds())
		}
		a.fanOutDropped.Add(float64(o.Failed))
	case broker.StoreCall:
		v.storeCalls.WithLabelValues(o.Operation).Observe(o.Took.Seconds())
		if failed(o.Err) {
			v.storeFailed.WithLabelValues(o.Operation).Inc()
		}
	case broker.PublishRefused:
		v.publishRefused.WithLabelValues(m.of(o.App).label, reason(o.Err)).Inc()
	case broker.ChannelGap:
		m.of(o.App).gaps.Inc()
	case broker.RequestRefused:
		v.requestsRefused.WithLabelValues(m.of(o.App).label, o.Action, reason(o.Err)).Inc()
	case broker.MemberJoined:
		m.of(o.App).joined.Inc()
	case broker.MemberLeft:
		m.of(o.App).left.Inc()
	case broker.UserOnline:
		m.of(o.App).online.Inc()
	case broker.UserOffline:
		m.of(o.App).offline.Inc()
	case broker.APICalled:
		app := "unknown"
		if o.Known {
			app = m.of(o.App).label
		}
		v.apiRequests.WithLabelValues(app, o.Method, o.Route, strconv.Itoa(o.Status)).Inc()
		v.apiTimes.WithLabelValues(app, o.Route).Observe(o.Took.Seconds())
	case broker.WebhookSent:
		a := m.of(o.App)
		v.webhooks.WithLabelValues(a.label, result(o.Status)).Inc()
		a.hook.Observe(o.Took.Seconds())
	case broker.WebhookDropped:
		m.of(o.App).webhooksDropped.Add(float64(o.Events))
	default:
		m.observeSession(o)
	}
}

// observeSession is Observe for sessions and their subscriptions.
func (m *Metrics) observeSession(o broker.Observation) {
	v := &m.vectors
	switch o := o.(type) {
	case broker.SessionOpened:
		v.opened.WithLabelValues(m.of(o.Session.App()).label, o.Session.Conn().Info().Transport).Inc()
	case broker.SessionRefused:
		v.refused.WithLabelValues(m.of(o.App).label, reason(o.Err)).Inc()
	case broker.SessionClosed:
		a := m.of(o.Session.App())
		v.closed.WithLabelValues(a.label, code(o.Code)).Inc()
		a.lasted.Observe(o.Lasted.Seconds())
	case broker.SessionSlow:
		m.of(o.Session.App()).slow.Inc()
	case broker.SubscriptionOpened:
		a := m.of(o.Session.App())
		v.subscribed.WithLabelValues(a.label, start(o.Resume)).Inc()
		a.subscribing.Observe(o.Took.Seconds())
	case broker.SubscriptionRefused:
		v.unsubscribable.WithLabelValues(m.of(o.Session.App()).label, reason(o.Err)).Inc()
	case broker.SubscriptionClosed:
		m.of(o.Session.App()).unsubscribed.Inc()
	}
}

// SampleDelivery implements broker.DeliverySampler.
func (m *Metrics) SampleDelivery(string, string, *broker.Event) bool {
	return m.asked.Add(1)%uint64(m.options.sample) == 0
}

// failed reports whether an error of a store is one, and not an answer.
func failed(err error) bool {
	for _, answer := range [...]error{storage.ErrGap, storage.ErrKeyReused, storage.ErrKeyInFlight, storage.ErrMemberLimit,
		storage.ErrNoTarget, storage.ErrRetracted, storage.ErrStaleVersion, storage.ErrBadQuery, errors.ErrUnsupported, context.Canceled} {
		if errors.Is(err, answer) {
			return false
		}
	}
	return err != nil
}

// reason says in a word why something was refused.
func reason(err error) string {
	for _, known := range [...]struct {
		err  error
		word string
	}{
		{ratelimit.ErrLimited, "limited"}, {broker.ErrUnauthorized, "unauthorized"}, {broker.ErrInvalid, "invalid"},
		{broker.ErrRefused, "refused"}, {broker.ErrQuota, "quota"}, {broker.ErrChannelLimit, "quota"}, {storage.ErrMemberLimit, "quota"},
		{broker.ErrSubscribed, "invalid"}, {broker.ErrNotSubscribed, "unauthorized"}, {broker.ErrNotKept, "invalid"},
		{storage.ErrKeyReused, "invalid"}, {storage.ErrKeyInFlight, "limited"}, {storage.ErrNoTarget, "invalid"},
		{storage.ErrRetracted, "invalid"}, {storage.ErrStaleVersion, "invalid"}, {broker.ErrSignedIn, "invalid"},
		{broker.ErrShutdown, "shutdown"}, {broker.ErrClosed, "closed"}, {broker.ErrNoCipher, "other"},
		{context.Canceled, "canceled"}, {context.DeadlineExceeded, "canceled"}, {errors.ErrUnsupported, "other"},
	} {
		if errors.Is(err, known.err) {
			return known.word
		}
	}
	return "store"
}

// code is a close code, if it is one that a server or a browser uses: clients may send any.
func code(c int) string {
	switch {
	case c >= 1000 && c <= 1015, c >= 4000 && c <= 4009, c >= 4100 && c <= 4102, c >= 4200 && c <= 4202, c >= 4300 && c <= 4302:
		return strconv.Itoa(c)
	}
	return "other"
}

func start(r broker.Resume) string {
	switch r {
	case broker.Resumed:
		return "resumed"
	case broker.ResumeGap:
		return "gap"
	}
	return "fresh"
}

func result(status int) string {
	if status < 100 || status > 599 {
		return "failed"
	}
	return strconv.Itoa(status/100) + "xx"
}

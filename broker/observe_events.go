package broker

import (
	"context"
	"time"

	"github.com/carillon-rt/carillon/transport"
)

// EventPublished is an event that was handed out on this node: to all who are subscribed
// to its channel, which may be nobody. An event of another broker on the same store is
// observed where anybody is subscribed.
type EventPublished struct {
	App string
	// Event is shared, and sealed on an encrypted channel. Event.Amends says that it
	// announces an amendment.
	Event *Event
	// Session is the client's that sent it, if it is here; nil for the server side.
	Session *Session
	// Subscribers are those it went to, in-process subscriptions included, and Excluded are
	// those that it was not for.
	Subscribers, Excluded int
	// Took is from Event.Time, when it was accepted, here or by another broker, until it was
	// in the queue of every subscriber.
	Took time.Duration
}

// PublishRefused is an event or an amendment that was not published: it was refused, or
// the store has failed. After an error of the store it may be stored all the same, and be
// observed as EventPublished later.
type PublishRefused struct {
	App, Channel, Event string
	// Bytes is the size of its data.
	Bytes int
	// Session is the client's that sent it; nil for the server side.
	Session *Session
	// Err is what the publisher got.
	Err error
}

// PublishTrace is an event that is being published, or an amendment that is being made.
type PublishTrace struct {
	App, Channel, Event string
	// Bytes is the size of its data.
	Bytes int
	// Session is the client's that sent it; nil for the server side.
	Session *Session
	// Published is the outcome, once there is one without Err.
	Published Published
	// Err is why it was not published: for all that is left of a batch, what its first
	// event that fails has failed with.
	Err error
}

// PublishTracer is an optional interface of an Observer: it is told of each publish of this
// process before hooks, limits and store are asked, and when the event is in the queue of
// every subscriber. What lies between sees its context. Each event of a batch is traced
// while the batch is.
type PublishTracer interface {
	// PublishStart returns the context of the publish.
	PublishStart(ctx context.Context, p PublishTrace) context.Context
	// PublishEnd is called with that context, or with one made of it by tracers behind.
	PublishEnd(ctx context.Context, p PublishTrace)
}

// HandOutTracer is an optional interface of an Observer: it is told when an event of this
// process begins to take its place in its channel's order, which may wait for others, and
// when it is in the queue of every subscriber.
type HandOutTracer interface {
	// HandOutStart returns a context for HandOutEnd.
	HandOutStart(ctx context.Context, app string, ev *Event) context.Context
	// HandOutEnd is called with that. The error is that of a context that has ended before.
	HandOutEnd(ctx context.Context, app string, ev *Event, err error)
}

// DeliverySampler is an optional interface of an Observer that wants to know how long some
// events take to the sockets. It is asked for each event that is handed out; where it says
// yes, FanOut follows, unless it is for no socket. Some percent are enough for percentiles,
// and cost nearly nothing.
type DeliverySampler interface {
	SampleDelivery(app, channel string, ev *Event) bool
}

// DeliveryTracer is an optional interface of an Observer that wants to know what becomes of
// some events for each session. It is asked for each event that is handed out; where it
// says yes, Delivery follows for each step of each session. That costs some allocations a
// session: it is for looking into something, not for all events.
type DeliveryTracer interface {
	TraceDeliveries(app, channel string, ev *Event) bool
}

// FanOut is an event that has left for the last of its sockets. It is told when nothing of
// it waits any more: a client that takes in nothing delays it until it is cut off.
type FanOut struct {
	App   string
	Event *Event
	// Sockets are the connections whose queues it was put into. Written are those it was
	// handed to the system for, Failed those that ended before.
	Sockets, Written, Failed int
	// First and Last are from Event.Time until it was handed to the system for the first
	// and for the last socket; zero if Written is.
	First, Last time.Duration
}

// Delivery is a step of an event on its way to a session.
type Delivery struct {
	Session *Session
	Event   *Event
	Step    DeliveryStep
	// Queue is what waited for the session, the event not included, where Step is
	// DeliveryQueued.
	Queue transport.Queue
	// Time is when it was made.
	Time time.Time
	// Err says why, where Step is DeliveryFailed.
	Err error
}

// DeliveryStep is what has become of an event for a session.
type DeliveryStep int

// Steps of an event on its way to a session.
const (
	// DeliveryExcluded: the event is not for the session, which has published it or was
	// named by its publisher.
	DeliveryExcluded DeliveryStep = iota + 1
	// DeliveryParked: the event waits behind the success or the past events of a
	// subscription that begins.
	DeliveryParked
	// DeliveryHad: the event was part of the past that the subscription began with.
	DeliveryHad
	// DeliveryQueued: the event is in the queue of the connection.
	DeliveryQueued
	// DeliveryWritten: the event was handed to the system, or taken by a client within the
	// process.
	DeliveryWritten
	// DeliveryFailed: the connection was closed, or is cut off: see Err, which wraps
	// transport.ErrSlow or transport.ErrClosed.
	DeliveryFailed
	// DeliverySilent: the session's protocol has no words for the event.
	DeliverySilent
)

// String returns a word for the step.
func (s DeliveryStep) String() string {
	switch s {
	case DeliveryExcluded:
		return "excluded"
	case DeliveryParked:
		return "parked"
	case DeliveryHad:
		return "had"
	case DeliveryQueued:
		return "queued"
	case DeliveryWritten:
		return "written"
	case DeliveryFailed:
		return "failed"
	case DeliverySilent:
		return "silent"
	}
	return "unknown"
}

func (EventPublished) kind() ObservationKind { return ObserveEventPublished }
func (PublishRefused) kind() ObservationKind { return ObservePublishRefused }
func (FanOut) kind() ObservationKind         { return ObserveFanOut }
func (Delivery) kind() ObservationKind       { return ObserveDelivery }

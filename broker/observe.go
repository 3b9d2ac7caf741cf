package broker

import "context"

// Observer is told what a broker does: see WithObserver. Metrics, traces and the console
// are built on it, and on nothing private.
//
// It is called at once, by whoever did what is observed, often while locks are held: it
// is called concurrently, must not block, and must not call the broker back, nor those
// methods of a Session that wait (Subscribed, Channels, Subscribe and what else the client
// asks for). The context carries the values of the publisher's, subscriber's or
// session's, where there is one. What an observation points to must not be changed.
// A panic is contained, logged the first time, and counted in Stats.ObserverPanics.
//
// An Observer may also be a [ObservationFilter], [PublishTracer], [HandOutTracer],
// [StoreTracer], [APITracer], [DeliverySampler] or [DeliveryTracer].
type Observer interface {
	Observe(ctx context.Context, o Observation)
}

// Observation is something that has happened. The set is closed, and all of it are plain
// values that an Observer may keep:
//
//	SessionOpened        a client has connected
//	SessionRefused       a client was refused, by the broker or its protocol
//	SessionClosed        a session has ended, behind the ends of its subscriptions
//	SessionSlow          a client is cut off: it takes in less than it is sent
//	SubscriptionOpened   a session has subscribed to a channel
//	SubscriptionRefused  a subscription has failed: refused, or for a store
//	SubscriptionClosed   a session is no longer on a channel
//	RequestRefused       another request has failed: to sign in, to read a page of history, to search
//	EventPublished       an event was handed out on this node, whoever published it
//	PublishRefused       an event or amendment was not published: refused, or for a store
//	MemberJoined         a user is on a presence channel now
//	MemberLeft           a user no longer is
//	UserOnline           a user's first session has signed in
//	UserOffline          a user's last session has ended
//	ChannelOccupied      a channel has its first client
//	ChannelVacated       a channel has lost its last client
//	ChannelGap           subscribers of a channel miss events that were stored
//	InProcessSlow        an in-process subscription has ended: it fell behind
//	StoreCall            a call of a store has returned
//	HooksDropped         calls of informing hooks were dropped
//	HookPanicked         a hook, a cipher or a rate limit panicked
//	FanOut               an event that a DeliverySampler chose has left for the last socket
//	Delivery             a step of an event that a DeliveryTracer chose, on its way to a session
//	MessageReceived      a client has sent a message
//	APICalled            a request to the HTTP API was answered
//	WebhookSent          an endpoint of webhooks was sent a batch, or an attempt has failed
//	WebhookDropped       webhooks were given up
//
// The last four are of package pusher, the others of the broker.
type Observation interface {
	kind() ObservationKind
}

// ObservationKind names one of the types of observations, in ObservationFilter.
type ObservationKind int

// The kinds of observations: each is that of the type with its name.
const (
	ObserveSessionOpened ObservationKind = iota + 1
	ObserveSessionRefused
	ObserveSessionClosed
	ObserveSessionSlow
	ObserveSubscriptionOpened
	ObserveSubscriptionRefused
	ObserveSubscriptionClosed
	ObserveRequestRefused
	ObserveEventPublished
	ObservePublishRefused
	ObserveMemberJoined
	ObserveMemberLeft
	ObserveUserOnline
	ObserveUserOffline
	ObserveChannelOccupied
	ObserveChannelVacated
	ObserveChannelGap
	ObserveInProcessSlow
	ObserveStoreCall
	ObserveHooksDropped
	ObserveHookPanicked
	ObserveFanOut
	ObserveDelivery
	ObserveMessageReceived
	ObserveAPICalled
	ObserveWebhookSent
	ObserveWebhookDropped
)

// ObservationFilter is an optional interface of an Observer that does not want to hear of
// everything: nothing is built that no observer wants. Without it, all is told.
type ObservationFilter interface {
	// WantsObservation is asked whenever something of the kind has happened, and may
	// answer differently each time. app is empty for what belongs to no app, as most calls
	// of hooks. It is called as Observe is, and should cost next to nothing. FanOut and
	// Delivery are told to whoever asked for them, without another question.
	WantsObservation(app string, kind ObservationKind) bool
}

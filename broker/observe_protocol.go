package broker

import (
	"context"
	"net/textproto"
	"time"
)

// MessageReceived is a message of a client. A protocol observes it before it is handled.
type MessageReceived struct {
	Session *Session
	// Event is the name of its event, and Channel the channel that it names; both empty
	// for what cannot be parsed.
	Event, Channel string
	// Bytes is its size.
	Bytes int
}

// APICalled is a request to the HTTP API of a protocol that was answered.
type APICalled struct {
	// App is the ID in the path, which may be of no app: then Status is 404. See Known.
	App string
	// Known says that there is such an app.
	Known bool
	// Method is GET, HEAD, POST, or "other", and Route one of a few patterns, such as
	// "/channels/{channel}/users"; "other" for a path that there is not.
	Method, Route string
	// Path is the path below the app.
	Path   string
	Status int
	// BytesIn is the size of the body.
	BytesIn int
	Took    time.Duration
	// Err is why Status is not 200.
	Err error
}

// WebhookSent is an attempt to send a batch of webhooks to an endpoint.
type WebhookSent struct {
	App string
	// ID is the batch's: each attempt has the same.
	ID string
	// URL is the endpoint, without user, password and query.
	URL string
	// Body is what was sent. It must not be changed. To send it again, give it and URL to
	// Handler.ResendWebhook of package pusher.
	Body []byte
	// Events are how many it has.
	Events int
	// Attempt counts from 1.
	Attempt int
	// Status is the receiver's answer; 0 without one.
	Status int
	Took   time.Duration
	// Err is why the attempt has failed; nil for one that was taken.
	Err error
	// Final says that there is no further attempt.
	Final bool
	// Again says that Handler.ResendWebhook has sent Body once more, under an ID of its own.
	Again bool
}

// WebhookDropped are events of webhooks that are given up: their receiver did not answer in
// time, or more waited for it than may.
type WebhookDropped struct {
	App, URL string
	Events   int
	Err      error
}

func (MessageReceived) kind() ObservationKind { return ObserveMessageReceived }
func (APICalled) kind() ObservationKind       { return ObserveAPICalled }
func (WebhookSent) kind() ObservationKind     { return ObserveWebhookSent }
func (WebhookDropped) kind() ObservationKind  { return ObserveWebhookDropped }

// APITracer is an optional interface of an Observer: it is told of each request to the HTTP
// API before it is handled, and may give all that it does a context with what the header
// says of a trace, such as traceparent.
type APITracer interface {
	// APIStart returns the context of the request. Of the call only App, Method, Route and
	// Path are set, of which App is not checked yet.
	APIStart(ctx context.Context, call APICalled, header textproto.MIMEHeader) context.Context
	// APIEnd is called with that context, or with one made of it by tracers behind.
	APIEnd(ctx context.Context, call APICalled)
}

package broker

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
)

// Topic publishes and receives events of one name on one channel as values of
// T, in JSON. It is safe for concurrent use.
type Topic[T any] struct {
	app            *App
	channel, event string
}

// NewTopic returns a topic.
func NewTopic[T any](app *App, channel, event string) (*Topic[T], error) {
	if err := CheckChannelName(channel); err != nil {
		return nil, err
	}
	if err := CheckEventName(event); err != nil {
		return nil, err
	}
	return &Topic[T]{app: app, channel: channel, event: event}, nil
}

// Publish publishes a value; see App.Publish.
func (t *Topic[T]) Publish(ctx context.Context, value T, opts ...PublishOption) (Published, error) {
	data, err := json.Marshal(value)
	if err != nil {
		return Published{}, fmt.Errorf("topic %s of channel %q: %w", t.event, t.channel, err)
	}
	return t.app.Publish(ctx, t.channel, t.event, data, opts...)
}

// Subscribe yields the values of the topic's events; other events on the channel
// are passed over. See App.Subscribe. An event that is no T yields a *ValueError,
// after which the sequence goes on.
func (t *Topic[T]) Subscribe(ctx context.Context, opts ...SubscribeOption) iter.Seq2[T, error] {
	events := t.app.Subscribe(ctx, t.channel, opts...)
	return func(yield func(T, error) bool) {
		for ev, err := range events {
			var value T
			if err == nil {
				if ev.Name != t.event {
					continue
				}
				if bad := json.Unmarshal(ev.Data, &value); bad != nil {
					err = &ValueError{Event: ev, Err: bad}
				}
			}
			if !yield(value, err) {
				return
			}
		}
	}
}

// ValueError says that an event is not a value of its topic.
type ValueError struct {
	Event Event
	Err   error
}

// Error implements error.
func (e *ValueError) Error() string {
	return fmt.Sprintf("event %s %q of channel %q: %v", e.Event.ID, e.Event.Name, e.Event.Channel, e.Err)
}

// Unwrap returns the decoder's error.
func (e *ValueError) Unwrap() error { return e.Err }

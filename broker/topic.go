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

// TopicSubscription is a Subscription to a topic.
type TopicSubscription[T any] struct {
	*Subscription
	event string
}

// TopicEvent is an event of a topic, and the value it carries.
type TopicEvent[T any] struct {
	Event
	Value T
}

// Subscribe subscribes to the topic's channel; see App.Subscribe.
func (t *Topic[T]) Subscribe(ctx context.Context, opts ...SubscribeOption) (*TopicSubscription[T], error) {
	sub, err := t.app.Subscribe(ctx, t.channel, opts...)
	if err != nil {
		return nil, err
	}
	return &TopicSubscription[T]{sub, t.event}, nil
}

// Events yields the topic's events as Subscription.Events does; others on the channel
// are passed over. An event that is no T yields a *ValueError, behind which the
// sequence goes on.
func (s *TopicSubscription[T]) Events() iter.Seq2[TopicEvent[T], error] {
	return func(yield func(TopicEvent[T], error) bool) {
		for ev, err := range s.Subscription.Events() {
			typed := TopicEvent[T]{Event: ev}
			if err == nil {
				if ev.Name != s.event {
					continue
				}
				if bad := json.Unmarshal(ev.Data, &typed.Value); bad != nil {
					err = &ValueError{Event: ev, Err: bad}
				}
			}
			if !yield(typed, err) {
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

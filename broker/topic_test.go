package broker_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/brokertest"
)

func TestTopicCarriesValues(t *testing.T) {
	type message struct {
		Text string `json:"text"`
	}
	kit := brokertest.New(t)
	topic, err := broker.NewTopic[message](kit.App, "room", "message")
	require.NoError(t, err)
	sub, err := topic.Subscribe(t.Context())
	require.NoError(t, err)
	defer sub.Close()
	published, err := topic.Publish(t.Context(), message{Text: "hi"})
	require.NoError(t, err)
	_, err = kit.App.Publish(t.Context(), "room", "other", []byte("{}"))
	require.NoError(t, err)
	_, err = kit.App.Publish(t.Context(), "room", "message", []byte("no json"))
	require.NoError(t, err)
	n := 0
	for ev, err := range sub.Events() {
		if n++; n == 1 {
			require.NoError(t, err)
			assert.Equal(t, "hi", ev.Value.Text)
			assert.Equal(t, "message", ev.Name)
			assert.Equal(t, published.Position, ev.Position)
			continue
		}
		var bad *broker.ValueError
		require.True(t, errors.As(err, &bad))
		assert.Equal(t, "no json", string(bad.Event.Data))
		break
	}
	assert.Equal(t, 2, n)
	_, err = topic.Subscribe(t.Context(), broker.WithBuffer(0))
	assert.ErrorIs(t, err, broker.ErrInvalid)
	_, err = broker.NewTopic[message](kit.App, "a b", "message")
	assert.ErrorIs(t, err, broker.ErrInvalid)
}

package broker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/brokertest"
	"github.com/carillon-rt/carillon/storage"
)

// keeping is a rule that keeps n events of every channel.
func keeping(n int) broker.Option {
	return broker.WithChannelRules(broker.ChannelRule{Pattern: "*", History: broker.Retention{Events: n}})
}

func TestEventsReachEverySubscriberOfTheirChannelOnly(t *testing.T) {
	kit := brokertest.New(t)
	ann, bob, eve := kit.Connect(t), kit.Connect(t), kit.Connect(t)
	ann.Subscribe("room")
	bob.Subscribe("room")
	eve.Subscribe("other")

	_, err := kit.App.Publish(t.Context(), "room", "message", []byte(`{"text":"hi"}`))
	require.NoError(t, err)

	for _, c := range []*brokertest.Client{ann, bob} {
		assert.Equal(t, `{"text":"hi"}`, c.Expect("message", "room").Data)
	}
	eve.ExpectNothing()
}

func TestAppsShareNothing(t *testing.T) {
	kit := brokertest.New(t, keeping(10))
	ann := kit.Connect(t)
	ann.Subscribe("room")
	other := kit.Broker.App("2")
	_, err := other.Publish(t.Context(), "room", "message", []byte("x"))
	require.NoError(t, err)
	ann.ExpectNothing()
	for _, err := range kit.App.History(t.Context(), "room") {
		require.NoError(t, err)
		t.Fatal("the other app's event is in the history")
	}
	_, err = other.Publish(t.Context(), "room", "message", []byte("x"), broker.Exclude(ann.SocketID()))
	require.NoError(t, err)
}

func TestPublishExcludesASocket(t *testing.T) {
	kit := brokertest.New(t)
	ann, bob := kit.Connect(t), kit.Connect(t)
	ann.Subscribe("room")
	bob.Subscribe("room")
	_, err := kit.App.Publish(t.Context(), "room", "message", []byte("x"), broker.Exclude(ann.SocketID()))
	require.NoError(t, err)
	bob.Expect("message", "room")
	ann.ExpectNothing()
	assert.EqualValues(t, 1, kit.Broker.Stats().Delivered)
}

func TestPublishManyIsAllOrNothing(t *testing.T) {
	kit := brokertest.New(t)
	ann := kit.Connect(t)
	ann.Subscribe("a")
	ann.Subscribe("b")
	_, err := kit.App.PublishMany(t.Context(), []string{"a", "b c"}, "message", []byte("x"))
	require.ErrorIs(t, err, broker.ErrInvalid)
	var batch *broker.BatchError
	require.True(t, errors.As(err, &batch))
	assert.Equal(t, 1, batch.Index)
	ann.ExpectNothing()

	done, err := kit.App.PublishMany(t.Context(), []string{"a", "b"}, "message", []byte("x"))
	require.NoError(t, err)
	assert.Len(t, done, 2)
	ann.Expect("message", "a")
	ann.Expect("message", "b")
}

func TestPublishRefusesWhatIsNotValid(t *testing.T) {
	kit := brokertest.New(t, broker.WithMaxEventBytes(10), broker.WithChannelRules(broker.ChannelRule{Pattern: "private-talk", Publishers: broker.OnlyClients}))
	for _, c := range []struct {
		channel, event, data string
		want                 error
		text                 string
	}{
		{"", "message", "", broker.ErrInvalid, "channel is empty"},
		{"a b", "message", "", broker.ErrInvalid, `channel "a b" has a character`},
		{"room", "", "", broker.ErrInvalid, "name is empty"},
		{"room", "pusher:x", "", broker.ErrInvalid, "reserves"},
		{"room", "message", "12345678901", broker.ErrInvalid, "data is too large: 11, the limit is 10"},
		{"private-talk", "message", "", broker.ErrRefused, "from its subscribers only"},
	} {
		_, err := kit.App.Publish(t.Context(), c.channel, c.event, []byte(c.data))
		require.ErrorIs(t, err, c.want)
		assert.ErrorContains(t, err, c.text)
	}
	assert.EqualValues(t, 6, kit.Broker.Stats().Refused)
}

func TestPublishManyTellsAChannelOnce(t *testing.T) {
	kit := brokertest.New(t, keeping(10))
	ann := kit.Connect(t)
	ann.Subscribe("a")
	ann.Subscribe("b")
	done, err := kit.App.PublishMany(t.Context(), []string{"a", "b", "a", "a"}, "message", []byte("x"))
	require.NoError(t, err)
	ann.Expect("message", "a")
	ann.Expect("message", "b")
	ann.ExpectNothing()
	require.Len(t, done, 4, "one for each name that was given")
	assert.Equal(t, []broker.Published{done[0], done[1], done[0], done[0]}, done)
	assert.EqualValues(t, 1, done[0].Position.Offset)

	_, err = kit.App.PublishMany(t.Context(), []string{"a", "a", "b c"}, "message", []byte("x"))
	var failed *broker.BatchError
	require.ErrorAs(t, err, &failed)
	assert.Equal(t, 2, failed.Index)
	ann.ExpectNothing()
}

func TestAServerPublishesAsAUser(t *testing.T) {
	kit := brokertest.New(t, keeping(10))
	ann := kit.Connect(t)
	for _, channel := range []string{"room", "private-room", "presence-room", "private-encrypted-room"} {
		if broker.KindOf(channel).Base() == broker.Presence {
			ann.SubscribeAs(channel, "ann", "")
		} else {
			ann.Subscribe(channel)
		}
		publish := func(key string, opts ...broker.PublishOption) error {
			_, err := kit.App.Publish(t.Context(), channel, "message", []byte("x"), append(opts, broker.IdempotencyKey(key))...)
			return err
		}
		require.NoError(t, publish("1", broker.AsUser("bob")))
		assert.Equal(t, "bob", ann.Expect("message", channel).UserID)
		require.NoError(t, publish("2"))
		assert.NotContains(t, ann.Expect("message", channel).Raw, "user_id")
		for ev, err := range kit.App.History(t.Context(), channel, broker.AtMost(1)) {
			require.NoError(t, err)
			assert.Equal(t, "bob", ev.UserID)
			assert.Empty(t, ev.SocketID)
		}
		require.ErrorIs(t, publish("1", broker.AsUser("eve")), storage.ErrKeyReused)
		var field *broker.FieldError
		require.ErrorAs(t, publish("3", broker.AsUser(strings.Repeat("x", 129))), &field)
		assert.Equal(t, "user_id", field.Field)
	}
}

func TestIdempotencyKeyMakesARetryANoOp(t *testing.T) {
	for _, keep := range []int{0, 10} {
		t.Run(fmt.Sprintf("history of %d", keep), func(t *testing.T) {
			kit := brokertest.New(t, keeping(keep))
			ann := kit.Connect(t)
			ann.Subscribe("room")
			first, err := kit.App.Publish(t.Context(), "room", "message", []byte("x"), broker.IdempotencyKey("k"))
			require.NoError(t, err)
			again, err := kit.App.Publish(t.Context(), "room", "message", []byte("x"), broker.IdempotencyKey("k"))
			require.NoError(t, err)
			assert.False(t, first.Duplicate)
			assert.True(t, again.Duplicate)
			assert.Equal(t, first.Position, again.Position)
			ann.Expect("message", "room")
			ann.ExpectNothing()
		})
	}
}

func TestIdempotencyKeyIsOfItsRequest(t *testing.T) {
	stamped := 0
	kit := brokertest.New(t, keeping(10), broker.WithHooks(broker.Hooks{Publish: func(_ context.Context, r *broker.PublishRequest) error {
		// What hooks add is not what the publisher asked for.
		stamped++
		if !r.JSON {
			r.Data = fmt.Appendf(nil, "%s %d", r.Data, stamped)
		}
		return nil
	}}))
	for _, channel := range []string{"room", "private-encrypted-room"} {
		t.Run(channel, func(t *testing.T) {
			refused := kit.Broker.Stats().Refused
			publish := func(event, data string, opts ...broker.PublishOption) (broker.Published, error) {
				return kit.App.Publish(t.Context(), channel, event, []byte(data), append(opts, broker.IdempotencyKey("k"))...)
			}
			first, err := publish("message", "x")
			require.NoError(t, err)
			again, err := publish("message", "x", broker.Exclude("1.2"))
			require.NoError(t, err, "whom to leave out is no part of the event")
			assert.Equal(t, broker.Published{ID: first.ID, Position: first.Position, Duplicate: true}, again)

			for _, other := range [][2]string{{"message", "y"}, {"message", ""}, {"other", "x"}, {"messag", "ex"}} {
				done, err := publish(other[0], other[1])
				require.ErrorIs(t, err, storage.ErrKeyReused, other)
				assert.Empty(t, done)
				var reused *storage.KeyReusedError
				require.ErrorAs(t, err, &reused)
				assert.Equal(t, first.Position, reused.Position)
			}
			_, err = kit.App.PublishBatch(t.Context(), []broker.PublishRequest{
				{Channel: channel, Event: "message", Data: []byte(`"x"`), IdempotencyKey: "j"},
				{Channel: channel, Event: "message", Data: []byte(`"x"`), IdempotencyKey: "j", JSON: channel == "room"},
				{Channel: channel, Event: "message", Data: []byte("x"), IdempotencyKey: "j"},
			})
			require.ErrorIs(t, err, storage.ErrKeyReused)
			latest, err := kit.App.Latest(t.Context(), channel)
			require.NoError(t, err)
			assert.Equal(t, first.Position.Offset+1, latest.Offset)
			stats := kit.Broker.Stats()
			assert.Greater(t, stats.Refused, refused+3)
			assert.Zero(t, stats.StoreErrors)
		})
	}
}

// What is sealed anew for each try is one event all the same.
func TestIdempotencyKeyOfAnEventThatItsPublisherSealed(t *testing.T) {
	kit := brokertest.New(t, keeping(10))
	const channel = "private-encrypted-room"
	seal := func(text string) []byte {
		sealer := brokertest.New(t)
		c := sealer.Connect(t)
		c.Subscribe(channel)
		_, err := sealer.App.Publish(t.Context(), channel, "message", []byte(text))
		require.NoError(t, err)
		return []byte(c.Expect("message", channel).Data)
	}
	for i, text := range []string{"secret", "secret", "another"} {
		done, err := kit.App.PublishBatch(t.Context(), []broker.PublishRequest{
			{Channel: channel, Event: "message", Data: seal(text), Sealed: true, IdempotencyKey: "k"},
		})
		if text == "another" {
			require.ErrorIs(t, err, storage.ErrKeyReused)
			continue
		}
		require.NoError(t, err)
		assert.Equal(t, i > 0, done[0].Duplicate)
	}
}

func TestEncryptedEventsAreSealedForClientsAndOpenInProcess(t *testing.T) {
	kit := brokertest.New(t)
	ann := kit.Connect(t)
	ann.Subscribe("private-encrypted-room")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	sub, err := kit.App.Subscribe(ctx, "private-encrypted-room")
	require.NoError(t, err)
	_, err = kit.App.Publish(ctx, "private-encrypted-room", "message", []byte("secret text"))
	require.NoError(t, err)

	var sealed struct{ Nonce, Ciphertext string }
	f := ann.Expect("message", "private-encrypted-room")
	f.Decode(t, &sealed)
	assert.NotEmpty(t, sealed.Nonce)
	assert.NotContains(t, f.Raw, "secret text")
	for ev, err := range sub.Events() {
		require.NoError(t, err)
		assert.Equal(t, "secret text", string(ev.Data))
		break
	}

	bare, err := broker.New()
	require.NoError(t, err)
	_, err = bare.App("1").Publish(ctx, "private-encrypted-room", "message", []byte("x"))
	require.ErrorIs(t, err, broker.ErrNoCipher)
}

// All subscribers see all events of a channel in one order, whoever publishes,
// and while others come and go; with history that order is that of the offsets.
func TestOneOrderForAllSubscribers(t *testing.T) {
	const publishers, each = 8, 200
	for _, keep := range []int{0, publishers * each} {
		t.Run(fmt.Sprintf("history of %d", keep), func(t *testing.T) {
			kit := brokertest.New(t, keeping(keep))
			clients := make([]*brokertest.Client, 5)
			for i := range clients {
				clients[i] = kit.Connect(t)
				clients[i].Subscribe("room")
			}
			sub := subscribe(t, kit.App, "room")
			var wg sync.WaitGroup
			for p := range publishers {
				wg.Go(func() {
					for i := range each {
						_, err := kit.App.Publish(t.Context(), "room", "message", fmt.Appendf(nil, "%d:%d", p, i))
						assert.NoError(t, err)
					}
				})
			}
			for range 4 {
				wg.Go(func() {
					for range each {
						c := kit.Connect(t)
						c.Write(`{"event":"pusher:subscribe","data":{"channel":"room"}}`)
						c.Close()
					}
				})
			}
			wg.Wait()

			var order []string
			var last broker.Position
			for ev, err := range sub.Events() {
				require.NoError(t, err)
				order = append(order, string(ev.Data))
				if keep > 0 {
					assert.Equal(t, last.Offset+1, ev.Position.Offset)
					last = ev.Position
				}
				if len(order) == publishers*each {
					break
				}
			}
			next := make(map[string]int)
			for _, data := range order {
				p, _, _ := strings.Cut(data, ":")
				assert.Equal(t, fmt.Sprintf("%s:%d", p, next[p]), data, "a publisher's events are in its own order")
				next[p]++
			}
			for _, c := range clients {
				for _, want := range order {
					require.Equal(t, want, c.Expect("message", "room").Data)
				}
				c.ExpectNothing()
			}
		})
	}
}

// A subscriber that joins in the midst of publishes gets the past and the present
// without a gap and without a duplicate.
func TestRewindJoinsThePresentExactly(t *testing.T) {
	const total = 2000
	kit := brokertest.New(t, broker.WithChannelRules(broker.ChannelRule{
		Pattern: "*", History: broker.Retention{Events: total}, Rewind: total,
	}))
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range total {
			_, err := kit.App.Publish(t.Context(), "room", "message", fmt.Append(nil, i))
			assert.NoError(t, err)
		}
	})
	var clients []*brokertest.Client
	for range 20 {
		c := kit.Connect(t)
		c.Subscribe("room")
		clients = append(clients, c)
	}
	wg.Wait()
	for _, c := range clients {
		for i := range total {
			require.Equal(t, fmt.Sprint(i), c.Expect("message", "room").Data)
		}
		c.ExpectNothing()
	}
}

package pusher_test

import (
	"encoding/json"
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

// chained is a client that keeps positions, as the add-on does: what it is sent has to
// follow what it has.
type chained struct {
	t  *testing.T
	at storage.Position
}

func (c *chained) take(f brokertest.Frame) string {
	c.t.Helper()
	var top struct{ Pos, Prev string }
	require.NoError(c.t, json.Unmarshal([]byte(f.Raw), &top))
	require.NotEmpty(c.t, top.Pos, f.Raw)
	at, err := storage.ParsePosition(top.Pos)
	require.NoError(c.t, err)
	before := storage.Position{Epoch: at.Epoch, Offset: at.Offset - 1}
	if top.Prev != "" {
		before, err = storage.ParsePosition(top.Prev)
		require.NoError(c.t, err)
	}
	if f.Event == "pusher_internal:subscription_succeeded" {
		before = c.at
	}
	require.Equal(c.t, c.at, before, "a hole before %s", f.Raw)
	c.at = at
	return f.Event
}

func subscribeChained(t *testing.T, kit *brokertest.Kit, after string) (*brokertest.Client, *chained) {
	t.Helper()
	client, c := kit.Connect(t), &chained{t: t}
	client.Write(fmt.Sprintf(`{"event":"pusher:subscribe","data":{"channel":"room","resume":{"v":1,"after":%q}}}`, after))
	success := client.Next()
	require.Equal(t, "pusher_internal:subscription_succeeded", success.Event)
	c.take(success)
	return client, c
}

func TestPositionsFollowEachOtherOverAmendments(t *testing.T) {
	kit := brokertest.New(t, broker.WithChannelRules(broker.ChannelRule{Pattern: "room", History: broker.Retention{Events: 10}, Rewind: 2}))
	var published []broker.Published
	for _, id := range []string{"a", "b", "c"} {
		p, err := kit.App.Publish(t.Context(), "room", "message", []byte(id), broker.WithID(id))
		require.NoError(t, err)
		published = append(published, p)
	}
	amend := func(_ broker.Amended, err error) { require.NoError(t, err) }
	amend(kit.App.Edit(t.Context(), "room", "a", []byte("A")))
	amend(kit.App.Append(t.Context(), "room", "b", []byte("+")))
	amend(kit.App.Retract(t.Context(), "room", "c"))

	fresh, c := subscribeChained(t, kit, "")
	events := []string{}
	for range 2 {
		f := fresh.Next()
		events = append(events, c.take(f)+" "+f.Data)
	}
	assert.Equal(t, []string{"message b+", "pusher_internal:position {}"}, events,
		"what was retracted is left out, and where amendments are, the position of the last one is told")
	again, r := subscribeChained(t, kit, published[1].Position.String())
	resumed := []string{}
	for range 4 {
		resumed = append(resumed, r.take(again.Next()))
	}
	assert.Equal(t, []string{"carillon:retracted", "carillon:edited", "carillon:appended", "carillon:retracted"}, resumed)
	for _, client := range []*brokertest.Client{fresh, again} {
		client.ExpectNothing()
	}
	amend(kit.App.Append(t.Context(), "room", "b", []byte("!")))
	assert.Equal(t, "carillon:appended", c.take(fresh.Next()))
	assert.Equal(t, "carillon:appended", r.take(again.Next()))
}

// Whoever subscribes while an answer is written has all of it in the end, once.
func TestPositionsFollowEachOtherWhileAnAnswerIsWritten(t *testing.T) {
	kit := brokertest.New(t, broker.WithChannelRules(broker.ChannelRule{Pattern: "room", History: broker.Retention{Events: 10}, Rewind: 1}))
	_, err := kit.App.Publish(t.Context(), "room", "answer", nil, broker.WithID("a"))
	require.NoError(t, err)
	const tokens = 200
	var wg sync.WaitGroup
	wg.Go(func() {
		for range tokens {
			_, err := kit.App.Append(t.Context(), "room", "a", []byte("x"))
			assert.NoError(t, err)
		}
	})
	var clients []*brokertest.Client
	var chains []*chained
	for range 10 {
		client, c := subscribeChained(t, kit, "")
		clients, chains = append(clients, client), append(chains, c)
	}
	wg.Wait()
	for i, client := range clients {
		text := ""
		for first := true; len(text) < tokens; first = false {
			f := client.Next()
			switch chains[i].take(f) {
			case "answer":
				require.True(t, first)
				text = f.Data
			case "carillon:appended":
				var said broker.AmendmentData
				require.NoError(t, json.Unmarshal([]byte(f.Data), &said))
				text += *said.Text
				require.EqualValues(t, len(text), said.Version)
			}
		}
		assert.Equal(t, strings.Repeat("x", tokens), text)
	}
}

package broker_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/brokertest"
	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/memory"
	"github.com/carillon-rt/carillon/storage/storagetest"
)

func TestSearch(t *testing.T) {
	kit := brokertest.New(t, keeping(10))
	for _, c := range []struct{ channel, data string }{
		{"room-1", `{"text":"Hello, 世界"}`}, {"room-2", "hello again"}, {"other", "hello there"}, {"room-2", "goodbye"},
	} {
		publishTo(t, kit, c.channel, c.data, broker.Exclude("1.2"))
	}
	find := func(channel, text string, opts ...broker.SearchOption) (found []string) {
		t.Helper()
		for {
			page, err := kit.App.Search(t.Context(), channel, text, opts...)
			require.NoError(t, err)
			for _, hit := range page.Hits {
				assert.Empty(t, hit.Event.Exclude)
				assert.False(t, hit.Event.Position.IsZero())
				found = append(found, string(hit.Event.Data)+"|"+string(hit.Event.Data[hit.Highlights[0].Start:hit.Highlights[0].End]))
			}
			if page.Next == "" {
				return found
			}
			opts = append(opts, broker.NextHits(page.Next))
		}
	}
	assert.Equal(t, []string{"hello there|hello", "hello again|hello", `{"text":"Hello, 世界"}|Hello`}, find("", "HELLO"))
	assert.Equal(t, []string{"hello again|hello", `{"text":"Hello, 世界"}|Hello`}, find("room-*", "hello", broker.HitsAtMost(1)))
	assert.Equal(t, []string{"hello there|hello", "hello again|hello"}, find("room-2", "hello", broker.InChannel("other")))
	assert.Equal(t, []string{`{"text":"Hello, 世界"}|世`}, find("*", "世"))
	assert.Len(t, find("", "hello", broker.Ranked()), 3)
	assert.Empty(t, find("", "nothing"))

	for _, bad := range []struct {
		channel, text string
		opts          []broker.SearchOption
		field         string
	}{
		{"a b", "x", nil, "channel"},
		{"", "", nil, "q has no word"},
		{"", strings.Repeat("x", 1000), nil, "q is too long"},
		{"", "x", []broker.SearchOption{broker.HitsAtMost(0)}, "limit"},
		{"", "x", []broker.SearchOption{broker.HitsAtMost(201)}, "limit is not between 1 and the limit: 201, the limit is 200"},
		{"", "x", []broker.SearchOption{broker.NextHits("?")}, "next"},
	} {
		_, err := kit.App.Search(t.Context(), bad.channel, bad.text, bad.opts...)
		require.ErrorIs(t, err, broker.ErrInvalid)
		assert.ErrorContains(t, err, bad.field)
	}
	assert.Zero(t, kit.Broker.Stats().StoreErrors)
}

func TestSearchFindsNothingThatIsSealed(t *testing.T) {
	kit := brokertest.New(t, keeping(10))
	publishTo(t, kit, "private-encrypted-room", "secret")
	queries := []string{"secret"}
	for _, c := range "abcdefghijklmnopqrstuvwxyz0123456789" {
		queries = append(queries, string(c)+"*") // what is sealed begins with one of them
	}
	for _, text := range queries {
		page, err := kit.App.Search(t.Context(), "", text)
		require.NoError(t, err)
		assert.Empty(t, page.Hits, text)
	}
}

// searched is a store that notes what it is asked.
type searched struct {
	*memory.Store
	queries []storage.SearchQuery
	targets int
}

func (a *searched) Search(ctx context.Context, q storage.SearchQuery) (storage.SearchPage, error) {
	a.queries = append(a.queries, q)
	return a.Store.Search(ctx, q)
}

func (a *searched) Target(ctx context.Context, ch storage.ChannelID, id string) (storage.Event, error) {
	a.targets++
	return a.Store.Target(ctx, ch, id)
}

// A store is not given patterns that are longer than a name can be.
func TestStarsInARowAreOne(t *testing.T) {
	store := &searched{Store: memory.New()}
	kit := brokertest.New(t, broker.WithHistory(store), keeping(10))
	publishTo(t, kit, "room-1", "hello")
	many := strings.Repeat("*", 100_000)
	for pattern, short := range map[string]string{many: "*", "room" + many + "1": "room*1", "*r*" + many: "*r*"} {
		page, err := kit.App.Search(t.Context(), pattern, "hello")
		require.NoError(t, err)
		assert.Len(t, page.Hits, 1, short)
		assert.Equal(t, []string{short}, store.queries[len(store.queries)-1].Channels)
	}
}

func TestAStoreThatFindsNothing(t *testing.T) {
	broken := errors.New("broken")
	bare := struct{ storage.History }{memory.New()}
	for _, c := range []struct {
		store storage.History
		want  error
	}{
		{bare, errors.ErrUnsupported},
		{storagetest.NewFaults(bare, func(storagetest.Call) storagetest.Fault { return storagetest.Fault{} }), errors.ErrUnsupported},
		{storagetest.NewFaults(memory.New(), func(storagetest.Call) storagetest.Fault { return storagetest.Fault{Err: broken} }), broken},
	} {
		kit := brokertest.New(t, broker.WithHistory(c.store), keeping(10))
		_, err := kit.App.Search(t.Context(), "", "word")
		require.ErrorIs(t, err, c.want)
	}
	kit := brokertest.New(t, broker.WithHistory(bare))
	_, err := kit.App.Search(t.Context(), "", "word")
	var none *broker.UnsupportedError
	require.ErrorAs(t, err, &none)
	assert.Equal(t, "history search", none.Operation)
}

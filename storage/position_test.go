package storage_test

import (
	"cmp"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/carillon-rt/carillon/storage"
)

var anEpoch = storage.Epoch{Number: 1_700_000_000_000, Random: 0xfedcba9876543210}

func TestZeroPosition(t *testing.T) {
	assert.True(t, storage.Position{}.IsZero())
	assert.True(t, storage.Position{Offset: 1}.IsZero(), "there is no position without an epoch")
	assert.False(t, storage.Position{Epoch: anEpoch}.IsZero(), "before the first event of an epoch")
	assert.False(t, storage.Position{Epoch: storage.Epoch{Random: 1}}.IsZero())
}

func TestPositionsAreOrdered(t *testing.T) {
	ordered := []storage.Position{
		{},
		{Epoch: storage.Epoch{Random: 1}},
		{Epoch: storage.Epoch{Number: 1}, Offset: math.MaxUint64},
		{Epoch: storage.Epoch{Number: 1, Random: 1}},
		{Epoch: storage.Epoch{Number: 1, Random: 1}, Offset: 1},
		{Epoch: storage.Epoch{Number: 1, Random: 2}},
		{Epoch: storage.Epoch{Number: 2}},
		{Epoch: storage.Epoch{Number: math.MaxUint64, Random: math.MaxUint64}, Offset: math.MaxUint64},
	}
	for i, p := range ordered {
		for j, q := range ordered {
			assert.Equal(t, cmp.Compare(i, j), p.Compare(q), "%v and %v", p, q)
			assert.Equal(t, i < j, p.Before(q))
			assert.Equal(t, i > j, p.After(q))
		}
	}
}

func TestNewEpochsRise(t *testing.T) {
	var epochs []storage.Epoch
	for _, after := range []storage.Epoch{{}, {Number: 5}, anEpoch, {Number: 1 << 60}, {Number: 1 << 62, Random: math.MaxUint64}} {
		e := storage.NewEpoch(after)
		assert.Equal(t, 1, e.Compare(after))
		assert.GreaterOrEqual(t, e.Number, uint64(time.Now().Add(-time.Minute).UnixMilli()))
		epochs = append(epochs, e, storage.NewEpoch(e))
		assert.Equal(t, -1, e.Compare(epochs[len(epochs)-1]))
	}
	same := storage.NewEpoch(anEpoch)
	other := storage.NewEpoch(anEpoch)
	assert.NotEqual(t, same, other, "two copies of a store start different epochs")
}

func TestPositionText(t *testing.T) {
	for text, p := range map[string]storage.Position{
		"":                         {},
		"0000OkFuMW0FwSjeXrL38G:0": {Epoch: anEpoch},
		"0000OkFuMW0FwSjeXrL38G:18446744073709551615": {Epoch: anEpoch, Offset: math.MaxUint64},
	} {
		assert.Equal(t, text, p.String())
		parsed, err := storage.ParsePosition(text)
		require.NoError(t, err, text)
		assert.Equal(t, p, parsed)
		raw, err := json.Marshal(map[string]storage.Position{"pos": p})
		require.NoError(t, err)
		assert.JSONEq(t, `{"pos":"`+text+`"}`, string(raw))
		var back map[string]storage.Position
		require.NoError(t, json.Unmarshal(raw, &back))
		assert.Equal(t, p, back["pos"])
	}
}

func TestTextThatIsNoPosition(t *testing.T) {
	epoch := anEpoch.String()
	for _, text := range []string{
		":", ":1", ":0", "17", epoch, epoch + ":", epoch + ":-1", epoch + ":+1", epoch + ":01", epoch + ": 1", epoch + ":1:", epoch + ":1 ",
		epoch + ":18446744073709551616", epoch + "0:1", epoch[1:] + ":1", "-" + epoch[1:] + ":1",
		"G" + epoch[1:] + ":1", epoch[:11] + "G" + epoch[12:] + ":1", strings.Repeat("0", 22) + ":1", strings.Repeat("x", 1<<16),
	} {
		p := storage.Position{Epoch: anEpoch, Offset: 7}
		err := p.UnmarshalText([]byte(text))
		var bad *storage.PositionError
		require.ErrorAs(t, err, &bad, "%.60s", text)
		assert.Equal(t, text, bad.Text)
		assert.Less(t, len(err.Error()), 200)
		assert.Equal(t, storage.Position{Epoch: anEpoch, Offset: 7}, p, "left as it was")
	}
}

func TestPositionTextIsExactAndSorts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		epoch := rapid.Custom(func(t *rapid.T) storage.Epoch {
			return storage.Epoch{Number: rapid.Uint64Min(1).Draw(t, "number"), Random: rapid.Uint64().Draw(t, "random")}
		})
		p := storage.Position{Epoch: epoch.Draw(t, "epoch"), Offset: rapid.Uint64().Draw(t, "offset")}
		parsed, err := storage.ParsePosition(p.String())
		require.NoError(t, err)
		require.Equal(t, p, parsed)

		epochs := rapid.SliceOf(epoch).Draw(t, "epochs")
		slices.SortFunc(epochs, storage.Epoch.Compare)
		require.True(t, slices.IsSortedFunc(epochs, func(a, b storage.Epoch) int { return cmp.Compare(a.String(), b.String()) }))
	})
}

func FuzzParsePosition(f *testing.F) {
	f.Add("0000OkFuMW0FwSjeXrL38G:17")
	f.Add(":0")
	f.Fuzz(func(t *testing.T, text string) {
		if p, err := storage.ParsePosition(text); err == nil {
			require.Equal(t, text, p.String(), "a position has one text")
		}
	})
}

func TestFollows(t *testing.T) {
	older, newer := storage.Epoch{Number: 1}, storage.Epoch{Number: 2}
	at := func(e storage.Epoch, offset uint64) storage.Position {
		return storage.Position{Epoch: e, Offset: offset}
	}
	for name, tc := range map[string]struct {
		pos, prev, last storage.Position
		want            bool
	}{
		"contiguous":                       {pos: at(newer, 4), last: at(newer, 3), want: true},
		"contiguous, the first":            {pos: at(newer, 1), last: at(newer, 0), want: true},
		"contiguous, one missed":           {pos: at(newer, 4), last: at(newer, 2)},
		"contiguous, had already":          {pos: at(newer, 4), last: at(newer, 4)},
		"contiguous, another epoch":        {pos: at(newer, 4), last: at(older, 3)},
		"holes":                            {pos: at(newer, 9), prev: at(newer, 3), last: at(newer, 3), want: true},
		"holes, one missed":                {pos: at(newer, 9), prev: at(newer, 8), last: at(newer, 3)},
		"holes, no event at the one below": {pos: at(newer, 9), prev: at(newer, 3), last: at(newer, 8)},
		"holes, the first":                 {pos: at(newer, 9), prev: at(newer, 0), last: at(newer, 0), want: true},
		"holes, before the first":          {pos: at(newer, 9), prev: at(newer, 3), last: at(newer, 0)},
		"a new epoch":                      {pos: at(newer, 1), prev: at(older, 7), last: at(older, 7), want: true},
		"a new epoch, its beginning":       {pos: at(newer, 5), prev: at(older, 7), last: at(newer, 0), want: true},
		"a new epoch, one missed":          {pos: at(newer, 1), prev: at(older, 7), last: at(older, 6)},
		"a new epoch, events were lost":    {pos: at(newer, 1), prev: at(older, 7), last: at(older, 8)},
		"nothing is known":                 {pos: at(newer, 1), last: storage.Position{}},
		"not kept":                         {last: at(newer, 1)},
		"neither":                          {},
	} {
		ev := &storage.Event{Position: tc.pos, Prev: tc.prev}
		assert.Equal(t, tc.want, ev.Follows(tc.last), name)
	}
}

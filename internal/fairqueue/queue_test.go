package fairqueue_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/carillon-rt/carillon/internal/fairqueue"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type (
	item  = fairqueue.Item[string, string]
	queue = fairqueue.Queue[string, string]
)

// drain takes everything, one item at a time.
func drain(q *queue) (all []string) {
	for it, ok := q.Pop(); ok; it, ok = q.Pop() {
		all = append(all, it.Value)
		q.Done(it)
	}
	return all
}

func TestAClassHasRoomOfItsOwn(t *testing.T) {
	for name, size := range map[string]int{"items": 0, "bytes": 10} {
		t.Run(name, func(t *testing.T) {
			q := fairqueue.New[string, string](2, 3+size, 30)
			limit := 3
			for i := range 100 {
				dropped := q.Push(item{Class: 0, Size: size, Value: "flood"})
				assert.Equal(t, i >= limit, dropped == 1)
			}
			assert.Zero(t, q.Push(item{Class: 1, Size: size, Value: "other"}))
			first, ok := q.Pop()
			require.True(t, ok)
			assert.Equal(t, 1, q.Push(item{Class: 0, Size: size}), "what was taken takes room until it is done")
			q.Done(first)
			assert.Zero(t, q.Push(item{Class: 0, Size: size, Value: "late"}))
			assert.Equal(t, []string{"flood", "flood", "other", "late"}, drain(q))
			assert.Zero(t, q.Len())
		})
	}
}

func TestWhatIsLateIsToldInTheEnd(t *testing.T) {
	q := fairqueue.New[string, string](1, 1, 100)
	came := func(key, as string) int {
		return q.Push(item{Change: fairqueue.Appears, Key: key, Value: "+" + key + as})
	}
	went := func(key string) int { return q.Push(item{Change: fairqueue.Vanishes, Key: key, Value: "-" + key}) }
	assert.Zero(t, came("a", ""), "has room")
	assert.Zero(t, went("a"))
	assert.Zero(t, came("a", " again"))
	assert.Zero(t, came("b", ""))
	assert.Equal(t, 2, went("b"), "nobody has heard of b")
	assert.Zero(t, came("c", ""))
	assert.Equal(t, 4, q.Len())
	assert.Equal(t, []string{"+a", "-a", "+a again", "+c"}, drain(q))
	assert.Zero(t, q.Len())
}

func TestAnItemThatFitsNowhereIsToldAlone(t *testing.T) {
	q := fairqueue.New[string, string](1, 10, 100)
	q.Push(item{Size: 1, Value: "small"})
	q.Push(item{Change: fairqueue.Appears, Key: "a", Size: 1000, Value: "large"})
	assert.Equal(t, []string{"small", "large"}, drain(q))
}

// Whatever comes and goes, and however slowly it is told: who is told hears of each
// key in turn, and in the end what is true; nothing is told twice or uncounted, and
// no more waits than the bounds and what there is.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		maxItems, maxBytes := rapid.IntRange(1, 4).Draw(t, "items"), rapid.IntRange(1, 20).Draw(t, "bytes")
		q := fairqueue.New[string, string](2, maxItems, maxBytes)
		keys := []string{"a", "b", "c", "d"}
		there, told := map[string]bool{}, map[string]bool{}
		pushed, heard, dropped := 0, 0, 0
		var taken []item
		done := func() {
			q.Done(taken[0])
			taken = taken[1:]
		}
		pop := func() bool {
			if q.Ready() == 0 {
				_, ok := q.Pop()
				require.False(t, ok)
				return false
			}
			first := *q.First()
			it, ok := q.Pop()
			require.True(t, ok)
			require.Equal(t, first, it)
			heard++
			taken = append(taken, it)
			if it.Change != fairqueue.Happens {
				now := it.Change == fairqueue.Appears
				require.NotEqual(t, told[it.Key], now, "%s twice", it.Key)
				told[it.Key] = now
			}
			return true
		}
		t.Repeat(map[string]func(*rapid.T){
			"change": func(t *rapid.T) {
				key := rapid.SampledFrom(keys).Draw(t, "key")
				there[key] = !there[key]
				change := fairqueue.Vanishes
				if there[key] {
					change = fairqueue.Appears
				}
				pushed++
				dropped += q.Push(item{Change: change, Key: key, Size: rapid.IntRange(0, 8).Draw(t, "size")})
			},
			"happen": func(t *rapid.T) {
				pushed++
				dropped += q.Push(item{Class: 1, Size: rapid.IntRange(0, 8).Draw(t, "size")})
			},
			"pop": func(*rapid.T) { pop() },
			"done": func(t *rapid.T) {
				if len(taken) > 0 {
					done()
				}
			},
			"": func(t *rapid.T) {
				require.Equal(t, pushed, heard+dropped+q.Len())
				require.LessOrEqual(t, q.Len(), 2*maxItems+2*len(keys))
			},
		})
		for pop() || len(taken) > 0 {
			for len(taken) > 0 {
				done()
			}
		}
		require.Zero(t, q.Len())
		for _, key := range keys {
			require.Equal(t, there[key], told[key], key)
		}
	})
}

package console

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/storage/memory"
	"github.com/carillon-rt/carillon/storage/storagetest"
)

func TestPercentiles(t *testing.T) {
	for bucket := range latencyBuckets {
		assert.Equal(t, bucket, bucketOf(middle(bucket)), "the middle of a bucket is in it")
	}
	assert.Equal(t, latencyBuckets-1, bucketOf(10*time.Hour))
	assert.Zero(t, bucketOf(-time.Second))
	var h histogram
	var all []time.Duration
	random := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		d := time.Duration(random.ExpFloat64() * float64(3*time.Millisecond))
		h.add(d)
		all = append(all, d)
	}
	slices.Sort(all)
	c := h.take()
	for _, part := range []float64{0.5, 0.9, 0.99} {
		got, ok := c.percentile(part)
		require.True(t, ok)
		want := all[int(part*float64(len(all)))]
		assert.InEpsilon(t, want, got, 0.13, "p%v", part)
	}
	none := h.take()
	_, ok := none.percentile(0.5)
	assert.False(t, ok)
	h.add(0)
	one := h.take()
	last, _ := one.percentile(1)
	assert.Zero(t, last)
}

type seriesJSON struct {
	Step   int
	Points []point
}

func TestSeriesOfAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nil)
		assert.Empty(t, get[seriesJSON](d, "/api/series").Points)
		ann := d.Connect(t)
		ann.Subscribe("room")
		time.Sleep(time.Second / 2) // between two points
		for range 3 {
			for range 10 {
				d.send("room")
				ann.Expect("message", "room")
			}
			time.Sleep(time.Second)
		}
		points := get[seriesJSON](d, "/api/series?step=1").Points
		require.Len(t, points, 3)
		assert.InDelta(t, 10, points[1].OutPerS, 0.01)
		assert.InDelta(t, 10, points[1].PublishedPerS, 0.01)
		assert.EqualValues(t, 1, points[1].Sessions)
		assert.Positive(t, points[1].Memory)
		assert.Positive(t, points[1].Goroutines)
		require.NotNil(t, points[1].P99Ms, "every event's way was measured")
		assert.Equal(t, 10, points[1].Samples)

		time.Sleep(65 * time.Minute)
		points = get[seriesJSON](d, "/api/series?step=60").Points
		assert.Len(t, points, minutes)
		for i := range points[1:] {
			assert.EqualValues(t, time.Minute.Milliseconds(), points[i+1].At/60_000*60_000-points[i].At/60_000*60_000)
		}
		assert.Len(t, get[seriesJSON](d, "/api/series?step=1").Points, seconds)
		assert.Nil(t, points[5].P99Ms, "nothing was published")
	})
}

func TestSummary(t *testing.T) {
	var latency counts
	latency[bucketOf(time.Millisecond)] = 98
	latency[bucketOf(time.Second)] = 2
	s := summary([]point{{At: 1, figures: figures{Sessions: 5, InPerS: 10, Memory: 7}}, {At: 2, figures: figures{Sessions: 3, InPerS: 20, Memory: 9}}}, &latency)
	assert.EqualValues(t, 1, s.At)
	assert.EqualValues(t, 5, s.Sessions)
	assert.EqualValues(t, 9, s.Memory)
	assert.InDelta(t, 15, s.InPerS, 1e-9)
	assert.InEpsilon(t, 1.0, *s.P50Ms, 0.13)
	assert.InEpsilon(t, 1000.0, *s.P99Ms, 0.13)
}

func TestSamplesAreFewWhereMuchIsPublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nil)
		assert.True(t, d.SampleDelivery("1", "room", nil))
		time.Sleep(1500 * time.Millisecond)
		for range 6400 {
			d.send("room")
		}
		time.Sleep(time.Second)
		assert.EqualValues(t, 511, d.sampling.Load(), "one of 512, which are 12 a second")
		time.Sleep(time.Second)
		assert.Zero(t, d.sampling.Load())
	})
}

func TestReasonsAndFaultsAreBounded(t *testing.T) {
	var r refusals
	var f faults
	var s slowSessions
	for i := range 10_000 {
		r.add("publish", fmt.Sprint("reason ", i), time.Unix(int64(i), 0))
		f.add(time.Unix(int64(i), 0), "store", "1", "room", fmt.Sprint("fault ", i))
		s.add(slowSession{Session: fmt.Sprint(i)})
	}
	assert.LessOrEqual(t, len(r.list()), maxReasons+1)
	total := int64(0)
	for _, one := range r.list() {
		total += one.Count
	}
	assert.EqualValues(t, 10_000, total, "all are counted")
	assert.Equal(t, "other", r.list()[0].Reason)
	assert.Len(t, f.latest(), maxFaults)
	assert.Equal(t, "fault 9999", f.latest()[0].Text)
	f.add(time.Unix(1, 0), "store", "1", "room", "fault 9990")
	assert.Equal(t, "fault 9990", f.latest()[0].Text)
	assert.EqualValues(t, 2, f.latest()[0].Count)
	assert.Len(t, s.latest(), maxSlow)
	assert.Equal(t, "9999", s.latest()[0].Session)
}

func TestAStoreThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := true
		store := storagetest.NewFaults(memory.New(), func(storagetest.Call) storagetest.Fault {
			if down {
				return storagetest.Fault{Err: errors.New("connection refused")}
			}
			return storagetest.Fault{}
		})
		d := newDesk(t, nil, broker.WithHistory(store), broker.WithChannelRules(broker.ChannelRule{Pattern: "*", History: broker.Retention{Events: 5}}))
		_, err := d.App.Publish(t.Context(), "room", "x", nil)
		require.Error(t, err)
		now := get[nowJSON](d, "/api/now")
		assert.False(t, now.Store.OK)
		require.NotNil(t, now.Store.LastError)
		assert.Contains(t, now.Store.LastError.Text, "connection refused")
		assert.NotEmpty(t, now.Errors)
		channel := get[struct{ StoreError string }](d, "/api/channel?app=1&name=room")
		assert.Contains(t, channel.StoreError, "connection refused", "the rest is shown all the same")
		resp := do(d.Console, request("GET", "/api/channel/history?app=1&name=room", ""))
		assert.Equal(t, 502, resp.StatusCode)
		down = false
		_, err = d.App.Publish(t.Context(), "room", "x", nil)
		require.NoError(t, err)
		assert.True(t, get[nowJSON](d, "/api/now").Store.OK)
		store.Close()
	})
}

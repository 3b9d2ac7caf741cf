package pusher_test

import (
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/brokertest"
	"github.com/carillon-rt/carillon/storage/memory"
	"github.com/carillon-rt/carillon/storage/storagetest"
)

// What is published and retracted while a rewind is read is not there for who rewinds, and
// positions go on behind it.
func TestWhatIsRetractedDuringARewindStaysRetracted(t *testing.T) {
	for name, before := range map[string][]any{"after others": {"1"}, "alone": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var slow atomic.Bool
				kit := brokertest.New(t, keeping(broker.ChannelRule{Rewind: 5}), broker.WithHistory(storagetest.NewSlowReads(memory.New(), &slow)))
				r := newResumer(t, kit, "room")
				for _, data := range before {
					r.publish(data.(string))
				}
				slow.Store(true)
				go func() {
					time.Sleep(time.Second / 2)
					slow.Store(false)
					gone, err := kit.App.Publish(t.Context(), "room", "message", []byte("gone"))
					assert.NoError(t, err)
					_, err = kit.App.Retract(t.Context(), "room", gone.ID)
					assert.NoError(t, err)
				}()
				r.subscribe()
				if len(before) > 0 {
					r.read(2) // it, and a position for what was retracted
				}
				r.publish("last")
				r.read(1)
				assert.Equal(t, append(before, "last"), r.got)
			})
		})
	}
}

// A page that is read while the channel is taken from the client is not for it any more:
// what is in it may have been published since.
func TestAPageIsNotForWhoWasRevokedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var slow atomic.Bool
		kit := brokertest.New(t, keeping(broker.ChannelRule{}), broker.WithHistory(storagetest.NewSlowReads(memory.New(), &slow)))
		c := kit.Connect(t)
		c.SignIn("ann")
		c.Subscribe("private-room")
		slow.Store(true)
		go func() {
			time.Sleep(time.Second / 2)
			n, err := kit.App.Revoke(t.Context(), "private-room", "ann")
			assert.NoError(t, err)
			assert.Equal(t, 1, n)
			_, err = kit.App.Publish(t.Context(), "private-room", "message", []byte("secret"))
			assert.NoError(t, err)
		}()
		c.Write(`{"event":"pusher:history","data":{"id":1,"channel":"private-room"}}`)
		c.Expect("pusher:subscription_error", "private-room")
		var a historyAnswer
		c.Expect("pusher_internal:history", "private-room").Decode(t, &a)
		assert.Equal(t, 403, a.Status)
		assert.Empty(t, a.Events)
	})
}

// What has to be read counts, whether it is sent or not.
func TestWhatIsReadOfThePastCounts(t *testing.T) {
	for name, rule := range map[string]broker.ChannelRule{
		"a page within the latest events": {Reach: broker.Reach{Events: 90}},
		"more than was to be missed":      {Reach: broker.Reach{Events: 90}},
		"older than may be missed":        {Reach: broker.Reach{Age: time.Minute}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				kit := brokertest.New(t, keeping(rule))
				kit.Config.Limits.PastBytesPerSecond = 1000
				kit.Config.Limits.ChannelsPerConnection = 1
				r := newResumer(t, kit, "room")
				r.subscribe()
				first := r.last
				for range 100 {
					r.publish(strings.Repeat("x", 1000))
				}
				time.Sleep(time.Hour)
				r.connect()
				if rule.Reach.Age > 0 || strings.HasPrefix(name, "more") {
					r.last = first
				} else {
					r.last = ""
				}
				r.subscribe()
				if r.last = ""; strings.HasPrefix(name, "a page") {
					assert.Len(t, askHistory(t, r.c, "room", `,"limit":1`).Events, 1)
				}
				assert.Equal(t, 429, askHistory(t, r.c, "room", `,"limit":1`).Status)
			})
		})
	}
}

// A channel whose store said late where it stood begins behind what a client has seen: who is
// told of a gap goes on from there nevertheless, and gets nothing a second time.
func TestAGapBeginsNotBeforeWhatTheClientHad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kit := brokertest.New(t, keeping(broker.ChannelRule{Reach: broker.Reach{Events: 3}}),
			broker.WithHistory(storagetest.NewFaults(memory.New(), func(c storagetest.Call) (f storagetest.Fault) {
				if c.Op == storagetest.OpLatest {
					f.Hold = time.Second
				}
				return f
			})))
		r := newResumer(t, kit, "room")
		p, err := kit.App.Publish(t.Context(), "room", "message", []byte("1"))
		require.NoError(t, err)
		r.last = broker.Position{Epoch: p.Position.Epoch, Offset: 5}.String()
		go func() {
			time.Sleep(time.Second / 2)
			for i := range 8 {
				_, err := kit.App.Publish(t.Context(), "room", "message", fmt.Append(nil, i+2))
				assert.NoError(t, err)
			}
		}()
		status, _ := r.subscribe()
		assert.Equal(t, "gap", status)
		r.publish("10")
		time.Sleep(time.Second)
		r.read(5)
		assert.Equal(t, []any{"6", "7", "8", "9", "10"}, r.got)
	})
}

// A gap that the subscribers of a channel have is none for who has resumed beyond it: it
// would go back to where that ends, and get again what it has.
func TestAGapIsNotForWhoHasResumedBeyondIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := storagetest.NewEngine(false)
		other := brokertest.New(t, keeping(broker.ChannelRule{}), broker.WithHistory(engine))
		kit := brokertest.New(t, keeping(broker.ChannelRule{}), broker.WithLogger(slog.New(slog.DiscardHandler)),
			broker.WithHistory(storagetest.NewFaults(engine, func(storagetest.Call) storagetest.Fault {
				return storagetest.Fault{Drop: true} // what others publish is found late
			})))
		stays, r := newResumer(t, kit, "room"), newResumer(t, kit, "room")
		stays.subscribe()
		r.last = stays.last
		stays.publish("1")
		copied := engine.Copy()
		stays.publish("lost")
		stays.read(2)
		engine.Restore(copied)
		_, err := other.App.Publish(t.Context(), "room", "message", []byte("2"))
		require.NoError(t, err)
		status, _ := r.subscribe()
		assert.Equal(t, "resumed", status)
		time.Sleep(time.Minute)
		stays.c.Expect("pusher_internal:gap", "room")
		r.publish("3")
		r.read(3)
		assert.Equal(t, []any{"1", "2", "3"}, r.got)
	})
}

package pusher

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// times are when the requests came, in seconds.
func (r *receiver) times() []float64 {
	var times []float64
	for _, req := range r.requests() {
		times = append(times, req.After.Seconds())
	}
	return times
}

func always(status int, after time.Duration) func(gotRequest) (int, time.Duration) {
	return func(gotRequest) (int, time.Duration) { return status, after }
}

func TestWebhookRetries(t *testing.T) {
	for _, tc := range []struct {
		name   string
		answer func(gotRequest) (int, time.Duration)
		times  []float64
	}{
		{"error", always(500, 0), []float64{0, 1, 3, 7, 15, 31, 63, 127, 255, 300}},
		{"redirect", always(307, 0), []float64{0, 1, 3, 7, 15, 31, 63, 127, 255, 300}},
		{"time-out", always(200, receiverTimeout+time.Second), []float64{0, 5, 11, 19, 31, 51, 87, 155, 287, 300}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newReceiver(tc.answer)
				kit := newWebhookKit(t, r, Webhook{URL: hookURL})
				kit.occupied("room")
				time.Sleep(retryTime + receiverTimeout - time.Millisecond)
				synctest.Wait()
				assert.Equal(t, tc.times, r.times())
				time.Sleep(time.Hour)
				synctest.Wait()
				assert.Equal(t, tc.times, r.times())
				for _, req := range r.requests() {
					assert.Equal(t, hookURL, req.URL, "redirects are not followed")
					assert.Equal(t, r.requests()[0].Body, req.Body)
				}
				assert.Equal(t, WebhookStats{Retried: 9, Dropped: 1}, kit.stats())
				assert.Empty(t, kit.sender.endpoints)
				kit.end(t)
			})
		})
	}
}

func TestWebhookRetrySucceeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := true
		r := newReceiver(func(gotRequest) (int, time.Duration) {
			defer func() { first = false }()
			if first {
				return 503, 0
			}
			return 204, 0
		})
		kit := newWebhookKit(t, r, Webhook{URL: hookURL})
		kit.occupied("a")
		kit.occupied("b")
		kit.occupied("c")
		synctest.Wait()
		assert.Equal(t, WebhookStats{Delivered: 2, Pending: 1}, kit.stats())
		time.Sleep(firstRetry)
		synctest.Wait()
		assert.Equal(t, []string{"channel_occupied a", "channel_occupied b", "channel_occupied c", "channel_occupied a"}, r.names())
		assert.Equal(t, WebhookStats{Delivered: 3, Retried: 1}, kit.stats())
		kit.end(t)
	})
}

// TestWebhookOrder keeps a receiver busy, in batches and without.
func TestWebhookOrder(t *testing.T) {
	for _, batch := range []bool{false, true} {
		t.Run(fmt.Sprintf("batch=%v", batch), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newReceiver(always(200, 70*time.Millisecond))
				kit := newWebhookKit(t, r, Webhook{URL: hookURL, Batch: batch})
				var want []string
				for i := range 300 {
					channel := fmt.Sprint("room-", i)
					kit.occupied(channel)
					want = append(want, "channel_occupied "+channel)
					time.Sleep(10 * time.Millisecond)
				}
				time.Sleep(time.Minute)
				assert.Equal(t, want, r.names())
				if batch {
					assert.Len(t, r.requests(), 15)
				}
				kit.end(t)
			})
		})
	}
}

// TestWebhookSlowReceiver holds up one receiver and, for good, another.
func TestWebhookSlowReceiver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(func(req gotRequest) (int, time.Duration) {
			switch {
			case strings.Contains(req.URL, "slow"):
				return 200, receiverTimeout - time.Millisecond
			case strings.Contains(req.URL, "dead"):
				return 200, time.Hour
			}
			return 200, 0
		})
		kit := newWebhookKit(t, r,
			Webhook{URL: "https://slow.example/"}, Webhook{URL: "https://dead.example/"}, Webhook{URL: "https://quick.example/"})
		for i := range 100 {
			kit.occupied(fmt.Sprint("room-", i))
		}
		synctest.Wait()
		assert.Equal(t, int64(100), kit.stats().Delivered, "all that are for the quick one")
		assert.Zero(t, time.Since(r.start))
		time.Sleep(100 * receiverTimeout)
		assert.Equal(t, int64(200), kit.stats().Delivered, "and for the slow one")
		time.Sleep(time.Hour)
		assert.Equal(t, int64(100), kit.stats().Dropped)
		assert.Zero(t, kit.stats().Pending)
		kit.end(t)
	})
}

// TestWebhookRetriesAreBounded lets a receiver fail that many events are for.
func TestWebhookRetriesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most int
		r := newReceiver(func(gotRequest) (int, time.Duration) { return 500, time.Second })
		counted := roundTripper(func(req *http.Request) (*http.Response, error) {
			r.mu.Lock()
			now++
			most = max(most, now)
			r.mu.Unlock()
			defer func() {
				r.mu.Lock()
				now--
				r.mu.Unlock()
			}()
			return r.RoundTrip(req)
		})
		kit := newWebhookKit(t, counted, Webhook{URL: hookURL})
		for i := range 1000 {
			kit.occupied(fmt.Sprint("room-", i))
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		assert.Equal(t, 1+maxRetriers, most)
		stats := kit.stats()
		assert.Equal(t, WebhookStats{Dropped: 1000, Retried: stats.Retried}, stats)
		kit.end(t)
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func TestWebhookQueueIsBounded(t *testing.T) {
	for _, tc := range []struct {
		name string
		size int
		want int64
	}{
		{"events", 10, maxEndpointEvents},
		{"bytes", 1 << 20, maxEndpointBytes >> 20},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newReceiver(always(200, time.Second))
				kit := newWebhookKit(t, r, Webhook{URL: hookURL, Batch: true})
				event := []byte("{}" + strings.Repeat(" ", tc.size-2))
				for range tc.want + 5 {
					kit.sender.enqueue(kit.app("1"), 0, queuedItem{Class: ofClientEvents, Size: len(event), Value: queuedEvent{encoded: event}})
				}
				assert.Equal(t, WebhookStats{Dropped: 5, Pending: tc.want}, kit.stats())
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				require.ErrorIs(t, kit.shutdown(ctx), ErrWebhooksDropped)
				assert.Equal(t, WebhookStats{Dropped: 5 + tc.want}, kit.stats())
			})
		})
	}
}

// TestWebhookRetryHoldsItsChannel: what a receiver hears last of a channel is true.
func TestWebhookRetryHoldsItsChannel(t *testing.T) {
	for _, batch := range []bool{false, true} {
		t.Run(fmt.Sprintf("batch=%v", batch), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var up atomic.Bool
				r := newReceiver(func(req gotRequest) (int, time.Duration) {
					if !up.Load() && slices.Contains(req.names(), "channel_occupied room") {
						return 503, 0
					}
					return 200, 0
				})
				kit := newWebhookKit(t, r, Webhook{URL: hookURL, Batch: batch})
				kit.occupied("room")
				time.Sleep(time.Second)
				for range 20 {
					kit.vacated("room")
					time.Sleep(holdTime + time.Second)
					kit.occupied("room")
				}
				kit.vacated("room")
				kit.occupied("other")
				time.Sleep(holdTime + time.Second)
				assert.Equal(t, []string{"channel_occupied other"}, r.accepted())
				up.Store(true)
				time.Sleep(retryTime)
				want := []string{"channel_occupied other"}
				for range 21 {
					want = append(want, "channel_occupied room", "channel_vacated room")
				}
				assert.Equal(t, want, r.accepted())
				kit.end(t)
			})
		})
	}
}

// TestWebhookFlood: what one kind of event fills is no other's room, and a receiver
// that was too slow hears in the end of all that is there.
func TestWebhookFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		r := newReceiver(nil)
		slow := roundTripper(func(req *http.Request) (*http.Response, error) {
			select {
			case <-release:
				return r.RoundTrip(req)
			case <-req.Context().Done():
				return nil, req.Context().Err()
			}
		})
		kit := newWebhookKit(t, slow, Webhook{URL: hookURL, Batch: true})
		const flood = maxEndpointEvents + 100
		for i := range flood {
			kit.occupied(fmt.Sprint("room-", i))
		}
		for i := range 100 {
			kit.joined("presence-room", fmt.Sprint("user-", i))
		}
		assert.Equal(t, WebhookStats{Pending: flood + 100}, kit.stats())
		for i := range 50 {
			kit.emit(kit.app("1"), webhookEvent{Name: WebhookChannelVacated, Channel: fmt.Sprint("room-", flood-1-i)})
		}
		assert.Equal(t, WebhookStats{Dropped: 100, Pending: flood + 50}, kit.stats(), "of those nobody has heard")
		close(release)
		time.Sleep(time.Minute)
		assert.Equal(t, WebhookStats{Delivered: flood + 50, Dropped: 100}, kit.stats())
		assert.Len(t, slices.DeleteFunc(r.names(), func(name string) bool { return name != "member_added presence-room" }), 100)
		kit.end(t)
	})
}

func TestWebhookShutdown(t *testing.T) {
	for _, tc := range []struct {
		name      string
		within    time.Duration
		answer    func(gotRequest) (int, time.Duration)
		took      time.Duration
		delivered int64
	}{
		{"takes", time.Minute, always(200, time.Second), 2 * time.Second, 4},
		{"takes no more", time.Second, always(200, time.Minute), time.Second, 0},
		{"fails", 10 * time.Second, always(500, 0), 7 * time.Second, 0},
		{"context is over", 0, always(200, time.Second), 0, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				up := false
				r := newReceiver(func(req gotRequest) (int, time.Duration) {
					if !up {
						return 500, 0
					}
					return tc.answer(req)
				})
				kit := newWebhookKit(t, r, Webhook{URL: "https://a.example/"}, Webhook{URL: "https://b.example/", Batch: true})
				kit.occupied("failed")
				time.Sleep(200 * time.Second)
				synctest.Wait()
				require.Equal(t, int64(2), kit.stats().Pending)
				up = true
				kit.vacated("held")
				require.Equal(t, int64(3), kit.stats().Pending)

				ctx, cancel := context.WithTimeout(context.Background(), tc.within)
				defer cancel()
				start := time.Now()
				err := kit.shutdown(ctx)
				stats := kit.stats()
				assert.Equal(t, WebhookStats{Delivered: tc.delivered, Dropped: 4 - tc.delivered, Retried: stats.Retried}, stats)
				assert.LessOrEqual(t, time.Since(start), tc.took)
				if tc.delivered == 4 {
					require.NoError(t, err)
				} else {
					require.ErrorIs(t, err, ErrWebhooksDropped)
					require.ErrorContains(t, err, fmt.Sprint(": ", stats.Dropped))
				}
				assert.Empty(t, kit.sender.endpoints)

				kit.occupied("late")
				kit.vacated("late")
				assert.Equal(t, stats.Dropped+4, kit.stats().Dropped)
				assert.Zero(t, kit.stats().Pending)
			})
		})
	}
}

// TestWebhookShutdownTriesAgain as long as there is time.
func TestWebhookShutdownTriesAgain(t *testing.T) {
	for name, shutdown := range map[string]func() (context.Context, context.CancelFunc){
		"time enough": func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(context.Background(), 5*time.Second)
		},
		"no time limit": func() (context.Context, context.CancelFunc) { return context.WithCancel(context.Background()) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tries := 0
				r := newReceiver(func(gotRequest) (int, time.Duration) {
					if tries++; tries < 3 {
						return 503, 0
					}
					return 200, 0
				})
				kit := newWebhookKit(t, r, Webhook{URL: hookURL})
				kit.occupied("room")
				synctest.Wait()
				ctx, cancel := shutdown()
				defer cancel()
				require.NoError(t, kit.shutdown(ctx))
				assert.Equal(t, []float64{0, 0, 2}, r.times(), "what waits to be sent again goes at once")
				assert.Equal(t, WebhookStats{Delivered: 1, Retried: 2}, kit.stats())
				kit.end(t)
			})
		})
	}
}

// TestWebhookShutdownWhileTold counts every event once, whatever it ran into.
func TestWebhookShutdownWhileTold(t *testing.T) {
	const each = 200
	r := newReceiver(func(req gotRequest) (int, time.Duration) {
		if strings.HasSuffix(req.names()[0], "7") {
			return 500, 0
		}
		return 200, 0
	})
	kit := newWebhookKit(t, r, Webhook{URL: "https://a.example/"}, Webhook{URL: "https://b.example/", Batch: true})
	var tellers sync.WaitGroup
	half := make(chan struct{}, 4)
	for range 4 {
		tellers.Go(func() {
			for i := range each {
				if i == each/2 {
					half <- struct{}{}
				}
				kit.emit(kit.app("1"), webhookEvent{Name: WebhookCacheMiss, Channel: fmt.Sprint("cache-", i)})
			}
		})
	}
	<-half
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = kit.shutdown(ctx)
	tellers.Wait()
	stats := kit.stats()
	assert.Equal(t, int64(2*4*each), stats.Delivered+stats.Dropped)
	assert.Zero(t, stats.Pending)
}

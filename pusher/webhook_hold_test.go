package pusher

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestWebhookHold(t *testing.T) {
	const almost = holdTime - time.Millisecond
	for _, tc := range []struct {
		name string
		do   func(*webhookKit)
		want []string
	}{
		{"goes", func(k *webhookKit) {
			k.vacated("a")
			time.Sleep(holdTime)
		}, []string{"channel_vacated a"}},
		{"held", func(k *webhookKit) {
			k.vacated("a")
			k.left("a", "7")
			time.Sleep(almost)
		}, nil},
		{"undone", func(k *webhookKit) {
			k.vacated("a")
			k.left("a", "7")
			time.Sleep(almost)
			k.joined("a", "7")
			k.occupied("a")
			time.Sleep(holdTime)
		}, nil},
		{"undone too late", func(k *webhookKit) {
			k.left("a", "7")
			time.Sleep(holdTime + time.Millisecond)
			k.joined("a", "7")
		}, []string{"member_removed a", "member_added a"}},
		{"undone by another", func(k *webhookKit) {
			k.left("a", "7")
			k.joined("a", "8")
			k.joined("b", "7")
			k.occupied("a")
			time.Sleep(holdTime)
		}, []string{"member_added a", "member_added b", "channel_occupied a", "member_removed a"}},
		{"goes again", func(k *webhookKit) {
			k.vacated("a")
			time.Sleep(almost)
			k.occupied("a")
			k.vacated("a")
			time.Sleep(almost)
		}, nil},
		{"twice", func(k *webhookKit) {
			k.vacated("a")
			time.Sleep(almost)
			k.vacated("a")
			time.Sleep(time.Hour)
		}, []string{"channel_vacated a"}},
		{"order", func(k *webhookKit) {
			for i := range 5 {
				k.vacated(fmt.Sprint(i))
				time.Sleep(time.Second)
			}
			k.occupied("3")
			time.Sleep(time.Hour)
		}, []string{"channel_vacated 0", "channel_vacated 1", "channel_vacated 2", "channel_vacated 4"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newReceiver(nil)
				kit := newWebhookKit(t, r, Webhook{URL: hookURL})
				tc.do(kit)
				synctest.Wait()
				assert.Equal(t, tc.want, r.names())
				kit.end(t)
			})
		})
	}
}

func TestWebhookHoldIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var released []string
		h := newWebhookHold(func(e heldEvent) { released = append(released, e.key.channel) })
		for i := range maxHeld + 2 {
			h.add(heldEvent{key: holdKey{channel: fmt.Sprint(i)}})
		}
		assert.Equal(t, []string{"0", "1"}, released, "the oldest go early")
		assert.Equal(t, maxHeld, h.size())
		h.flush()
		assert.Len(t, released, maxHeld+2)
	})
}

// TestWebhookAlternation lets channels and members come and go. A receiver must
// see each come and go in turn, and in the end what is true.
func TestWebhookAlternation(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		hook := Webhook{URL: hookURL, Batch: rapid.Bool().Draw(rt, "batch")}
		latency := time.Duration(rapid.IntRange(0, 500).Draw(rt, "latency")) * time.Millisecond
		failing := int64(rapid.IntRange(0, 2).Draw(rt, "failing"))
		type step struct{ Thing, Wait int }
		steps := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) step {
			return step{rapid.IntRange(0, 5).Draw(rt, "thing"), rapid.SampledFrom([]int{0, 0, 1, 700, 1500, 2999, 3000, 3001, 9000}).Draw(rt, "wait")}
		}), 0, 60).Draw(rt, "steps")

		var r *receiver
		var there [6]bool
		synctest.Test(t, func(t *testing.T) {
			var n atomic.Int64
			r = newReceiver(func(gotRequest) (int, time.Duration) {
				if n.Add(1)%4 < failing {
					return 503, latency
				}
				return 200, latency
			})
			kit := newWebhookKit(t, r, hook)
			for _, s := range steps {
				channel, user := fmt.Sprint("presence-", s.Thing%2), fmt.Sprint(s.Thing/2)
				change := [2]func(){
					func() { kit.joined(channel, user) },
					func() { kit.left(channel, user) },
				}
				if user == "0" {
					change = [2]func(){
						func() { kit.occupied(channel) },
						func() { kit.vacated(channel) },
					}
				}
				if there[s.Thing] {
					change[1]()
				} else {
					change[0]()
				}
				there[s.Thing] = !there[s.Thing]
				time.Sleep(time.Duration(s.Wait) * time.Millisecond)
			}
			kit.end(t)
		})

		seen := map[string]bool{}
		for _, req := range r.requests() {
			if req.Status != http.StatusOK {
				continue
			}
			for _, ev := range req.Events {
				user, _ := ev["user_id"].(string)
				thing := ev["channel"].(string) + "/" + user
				now := ev["name"] == WebhookChannelOccupied || ev["name"] == WebhookMemberAdded
				require.NotEqual(rt, seen[thing], now, "%s twice in a row for %s", ev["name"], thing)
				seen[thing] = now
			}
		}
		for i, is := range there {
			thing := fmt.Sprint("presence-", i%2, "/")
			if user := i / 2; user > 0 {
				thing += fmt.Sprint(user)
			}
			require.Equal(rt, is, seen[thing], thing)
		}
	})
}

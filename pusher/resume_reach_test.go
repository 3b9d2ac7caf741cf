package pusher_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/brokertest"
	"github.com/carillon-rt/carillon/storage"
)

func TestSocketsThatAreNone(t *testing.T) {
	kit := brokertest.New(t, keeping(broker.ChannelRule{}))
	for sockets, want := range map[string][]any{
		`["1.1"]`:                       {"b"},
		`["x","",7]`:                    {"a", "b"},
		`["x","2.2","3.3"]`:             {"a", "b"},
		`"1.1"`:                         {"a", "b"},
		`["2","3","4","5","6","1.1"]`:   {"a", "b"},
		`["2.2","3","4","5","1.1","6"]`: {"b"},
		`null`:                          {"a", "b"},
	} {
		t.Run(sockets, func(t *testing.T) {
			r := newResumer(t, kit, fmt.Sprintf("room-%x", sockets[:min(len(sockets), 60)]))
			r.subscribe()
			r.connect()
			r.publish("a", broker.Exclude("1.1"))
			r.publish("b")
			r.c.Write(fmt.Sprintf(`{"event":"pusher:subscribe","data":{"channel":%q,"resume":{"v":1,"after":%q,"sockets":%s}}}`, r.channel, r.last, sockets))
			f := frameOf(t, r.c.Expect("pusher_internal:subscription_succeeded", r.channel).Raw)
			assert.Equal(t, "resumed", f.Resume.Status)
			r.read(2)
			assert.Equal(t, want, r.got)
		})
	}
}

func TestWhatIsNoPositionIsAGap(t *testing.T) {
	kit := brokertest.New(t, keeping(broker.ChannelRule{History: broker.Retention{Events: 3}, Rewind: 2}))
	r := newResumer(t, kit, "room")
	r.subscribe()
	empty := r.last
	for i := range 5 {
		r.publish(fmt.Sprint(i))
	}
	r.read(5)
	last := r.last
	foreign := storage.Position{Epoch: storage.NewEpoch(storage.Epoch{}), Offset: 1}.String()
	for name, after := range map[string]string{
		"malformed": `"hello"`, "a number": `17`, "an object": `{}`, "a list": `["` + last + `"]`, "true": `true`,
		"with a half of a pair": `"\ud800"`, "of an epoch only": `"` + last[:22] + `"`,
		"foreign": `"` + foreign + `"`, "too long": `"` + last + strings.Repeat("0", 100) + `"`,
		"past the end": `"` + last + `9"`, "no longer kept": `"` + empty + `"`,
	} {
		t.Run(name, func(t *testing.T) {
			r := newResumer(t, kit, "room")
			r.c.Write(`{"event":"pusher:subscribe","data":{"channel":"room","auth":"","resume":{"v":1,"after":` + after + `}}}`)
			f := frameOf(t, r.c.Expect("pusher_internal:subscription_succeeded", "room").Raw)
			require.NotNil(t, f.Resume)
			assert.Equal(t, "gap", f.Resume.Status)
			r.last = f.Pos
			r.read(2)
			assert.Equal(t, []any{"3", "4"}, r.got, "as who has just come")
			assert.Equal(t, last, r.last)
		})
	}
	assert.EqualValues(t, 11, kit.Broker.Stats().ResumeGaps)
	assert.Zero(t, kit.Broker.Stats().Resumed)
}

func TestAnUnknownVersionIsAsIfAbsent(t *testing.T) {
	kit := brokertest.New(t, keeping(broker.ChannelRule{}))
	r := newResumer(t, kit, "room")
	r.subscribe()
	for _, resume := range []string{`{"v":2,"after":"` + r.last + `"}`, `{}`, `{"v":"1"}`, `{"v":1.0}`, `{"after":"x"}`, `7`, `null`, `"v"`, `[1]`, `true`} {
		c := kit.Connect(t)
		c.Write(`{"event":"pusher:subscribe","data":{"channel":"room","resume":` + resume + `}}`)
		assert.Equal(t, `{"event":"pusher_internal:subscription_succeeded","channel":"room","data":"{}"}`, c.Next().Raw, resume)
		r.publish("x")
		assert.Equal(t, `{"event":"message","channel":"room","data":"x"}`, c.Next().Raw, resume)
		c.Write(`{"event":"pusher:subscribe","data":{"channel":"room","resume":` + resume + `}}`)
		c.Expect("pusher:error", "")
		c.Close()
	}
}

func TestARuleBoundsHowFarBackAPositionReaches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, test := range map[string]struct {
			reach  broker.Reach
			missed int
			signIn bool
			status string
		}{
			"all":                  {status: "resumed", missed: 9},
			"as many as it says":   {reach: broker.Reach{Events: 9}, status: "resumed", missed: 9},
			"more than it says":    {reach: broker.Reach{Events: 8}, status: "gap", missed: 9},
			"fewer, of many":       {reach: broker.Reach{Events: 8}, status: "resumed", missed: 8},
			"young enough":         {reach: broker.Reach{Age: time.Minute}, status: "resumed", missed: 4},
			"too old":              {reach: broker.Reach{Age: time.Minute}, status: "gap", missed: 5},
			"nobody":               {reach: broker.Reach{Readers: broker.NoSubscriber}, status: "gap", missed: 1},
			"only users":           {reach: broker.Reach{Readers: broker.OnlyUsers}, status: "gap", missed: 1},
			"only users, and is":   {reach: broker.Reach{Readers: broker.OnlyUsers}, status: "resumed", missed: 9, signIn: true},
			"nobody, nothing lost": {reach: broker.Reach{Readers: broker.NoSubscriber}, status: "gap"},
		} {
			kit := brokertest.New(t, keeping(broker.ChannelRule{Reach: test.reach}))
			r := newResumer(t, kit, "room")
			r.subscribe()
			positions := []string{r.last}
			for i := range 9 {
				if i == 5 {
					time.Sleep(2 * time.Minute)
				}
				r.publish("x")
				r.read(1)
				positions = append(positions, r.last)
			}
			forged := kit.Connect(t)
			if test.signIn {
				forged.SignIn("ann")
			}
			forged.Write(`{"event":"pusher:subscribe","data":{"channel":"room","resume":{"v":1,"after":"` + positions[9-test.missed] + `"}}}`)
			f := frameOf(t, forged.Next().Raw)
			assert.Equal(t, test.status, f.Resume.Status, name)
			if test.status == "gap" {
				assert.Equal(t, r.last, f.Pos, name)
				forged.ExpectNothing()
			} else {
				assert.Equal(t, test.missed, f.Resume.Missed, name)
			}
		}
	})
}

func TestAHookBoundsHowFarBackAPositionReaches(t *testing.T) {
	for _, test := range []struct {
		name, status string
		hook         func(*broker.SubscribeRequest)
	}{
		{"it takes the position away", "gap", func(r *broker.SubscribeRequest) { r.After = nil }},
		{"it allows fewer", "gap", func(r *broker.SubscribeRequest) { r.Reach.Events = 1 }},
		{"it makes no sense", "", func(r *broker.SubscribeRequest) { r.Reach.Events = -1 }},
		{"it allows nobody", "gap", func(r *broker.SubscribeRequest) { r.Reach.Readers = broker.NoSubscriber }},
		{"it cannot change what is spoken", "resumed", func(r *broker.SubscribeRequest) { r.Protocol, r.Again, r.Sockets = nil, false, []string{"1.1"} }},
	} {
		var after *broker.Position
		kit := brokertest.New(t, keeping(broker.ChannelRule{}), broker.WithHooks(broker.Hooks{
			Subscribe: func(_ context.Context, r *broker.SubscribeRequest) error {
				if after = r.After; after != nil {
					test.hook(r)
				}
				return nil
			}}))
		r := newResumer(t, kit, "room")
		r.subscribe()
		assert.Nil(t, after)
		r.connect()
		r.publish("1", broker.Exclude("1.1"))
		r.publish("2")
		asked := r.last
		if test.status == "" {
			r.ask(r.last)
			expectSubscriptionError(t, r.c, "room", "InvalidRequest", 400, "reach is negative")
			continue
		}
		status, _ := r.subscribe()
		assert.Equal(t, test.status, status, test.name)
		require.NotNil(t, after)
		assert.Equal(t, asked, after.String())
		if status == "resumed" {
			r.read(2)
		}
		r.publish("3")
		r.read(1)
	}
}

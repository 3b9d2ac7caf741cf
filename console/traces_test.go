package console

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/brokertest"
	"github.com/carillon-rt/carillon/ratelimit"
	"github.com/carillon-rt/carillon/storage/memory"
	"github.com/carillon-rt/carillon/storage/storagetest"
)

func (d *desk) trap(what, name string) armJSON {
	d.t.Helper()
	return ask[armJSON](d, http.MethodPost, "/api/arm", fmt.Sprintf(`{"app":%q,%q:%q}`, d.App.ID(), what, name))
}

// why asks why a session or a user did or did not get an event.
func (d *desk) why(channel, event, what, name string) answer {
	d.t.Helper()
	q := url.Values{"app": {d.App.ID()}, "channel": {channel}, "event": {event}}
	if what != "" {
		q.Set(what, name)
	}
	return get[answer](d, "/api/trace?"+q.Encode())
}

func (d *desk) send(channel string, opts ...broker.PublishOption) string {
	d.t.Helper()
	done, err := d.App.Publish(d.t.Context(), channel, "message", []byte("x"), append([]broker.PublishOption{broker.WithID(fmt.Sprintf("ev-%d", d.sent.Add(1)))}, opts...)...)
	require.NoError(d.t, err)
	return done.ID
}

// steps are the names of an outcome's steps.
func (o outcome) names() (names []string) {
	for _, s := range o.Steps {
		names = append(names, s.Step)
	}
	return names
}

func TestVerdicts(t *testing.T) {
	for _, test := range []struct {
		name    string
		options []broker.Option
		do      func(t *testing.T, d *desk) answer
		verdict string
		reason  string
		steps   []string
	}{
		{"written", nil, func(t *testing.T, d *desk) answer {
			ann := d.Connect(t)
			ann.Subscribe("room")
			d.trap("channel", "room")
			id := d.send("room")
			ann.Expect("message", "room")
			return d.why("room", id, "session", ann.SocketID())
		}, got, "written", []string{"subscribed", "queued", "written"}},
		{"written, asked of the session", nil, func(t *testing.T, d *desk) answer {
			ann := d.Connect(t)
			ann.Subscribe("room")
			d.trap("session", ann.SocketID())
			id := d.send("room")
			ann.Expect("message", "room")
			return d.why("room", id, "session", ann.SocketID())
		}, got, "written", []string{"subscribed", "queued", "written"}},
		{"written, asked of the user", nil, func(t *testing.T, d *desk) answer {
			ann := d.Connect(t)
			ann.SignIn("ann")
			ann.Subscribe("room")
			d.trap("user", "ann")
			id := d.send("room")
			ann.Expect("message", "room")
			return d.why("room", id, "user", "ann")
		}, got, "written", []string{"subscribed", "queued", "written"}},
		{"written to a member", nil, func(t *testing.T, d *desk) answer {
			ann := d.Connect(t)
			ann.SubscribeAs("presence-room", "ann", `{}`)
			d.trap("channel", "presence-room")
			id := d.send("presence-room")
			ann.Expect("message", "presence-room")
			return d.why("presence-room", id, "user", "ann")
		}, got, "written", []string{"subscribed", "queued", "written"}},
		{"queued", nil, func(t *testing.T, d *desk) answer {
			ann := d.Connect(t)
			ann.Subscribe("room")
			d.trap("channel", "room")
			id := d.send("room") // and ann does not take it
			return d.why("room", id, "session", ann.SocketID())
		}, notGot, "queued", []string{"subscribed", "queued"}},
		{"not subscribed", nil, func(t *testing.T, d *desk) answer {
			ann := d.Connect(t)
			d.trap("channel", "room")
			d.Connect(t).Subscribe("room")
			return d.why("room", d.send("room"), "session", ann.SocketID())
		}, notGot, "not-subscribed", []string{"not-subscribed"}},
		{"not subscribed, asked of the session", nil, func(t *testing.T, d *desk) answer {
			ann := d.Connect(t)
			d.trap("session", ann.SocketID())
			d.Connect(t).Subscribe("room")
			return d.why("room", d.send("room"), "session", ann.SocketID())
		}, notGot, "not-subscribed", []string{"not-subscribed"}},
		{"nobody subscribed, and nothing armed", nil, func(t *testing.T, d *desk) answer {
			return d.why("room", d.send("room"), "session", "1.2")
		}, notGot, "not-subscribed", []string{"not-subscribed"}},
		{"the user has no session there", nil, func(t *testing.T, d *desk) answer {
			d.Connect(t).Subscribe("room")
			d.trap("channel", "room")
			return d.why("room", d.send("room"), "user", "ann")
		}, notGot, "not-subscribed", []string{"not-subscribed"}},
		{"subscribed later", nil, func(t *testing.T, d *desk) answer {
			d.Connect(t).Subscribe("room")
			ann := d.Connect(t)
			d.trap("channel", "room")
			id := d.send("room")
			time.Sleep(time.Second)
			ann.Subscribe("room")
			return d.why("room", id, "session", ann.SocketID())
		}, notGot, "subscribed-later", []string{"not-subscribed", "subscribed"}},
		{"unsubscribed before", nil, func(t *testing.T, d *desk) answer {
			d.Connect(t).Subscribe("room")
			ann := d.Connect(t)
			ann.Subscribe("room")
			d.trap("channel", "room")
			ann.Unsubscribe("room")
			time.Sleep(2 * time.Second)
			return d.why("room", d.send("room"), "session", ann.SocketID())
		}, notGot, "unsubscribed-before", []string{"not-subscribed"}},
		{"unsubscribed before, asked of the session", nil, func(t *testing.T, d *desk) answer {
			d.Connect(t).Subscribe("room")
			ann := d.Connect(t)
			ann.Subscribe("room")
			d.trap("session", ann.SocketID())
			ann.Unsubscribe("room")
			time.Sleep(2 * time.Second)
			return d.why("room", d.send("room"), "session", ann.SocketID())
		}, notGot, "unsubscribed-before", []string{"not-subscribed"}},
		{"its subscription was refused", nil, func(t *testing.T, d *desk) answer {
			bob := d.Connect(t)
			bob.Subscribe("private-room")
			ann := d.Connect(t)
			d.trap("channel", "private-room")
			ann.Write(`{"event":"pusher:subscribe","data":{"channel":"private-room","auth":"` + d.Config.Key + `:00"}}`)
			return d.why("private-room", d.send("private-room"), "session", ann.SocketID())
		}, notGot, "subscription-refused", []string{"refused", "not-subscribed"}},
		{"its subscription was refused by a hook", []broker.Option{broker.WithHooks(broker.Hooks{
			Subscribe: hookThatRefuses(true)})}, func(t *testing.T, d *desk) answer {
			ann := d.Connect(t)
			d.trap("channel", "room-for-bob")
			ann.Write(`{"event":"pusher:subscribe","data":{"channel":"room-for-bob"}}`)
			return d.why("room-for-bob", d.send("room-for-bob"), "session", ann.SocketID())
		}, notGot, "subscription-refused", []string{"refused", "not-subscribed"}},
		{"excluded", nil, func(t *testing.T, d *desk) answer {
			ann := d.Connect(t)
			ann.Subscribe("room")
			d.trap("channel", "room")
			id := d.send("room", broker.Exclude(ann.SocketID()))
			return d.why("room", id, "session", ann.SocketID())
		}, notGot, "excluded", []string{"subscribed", "excluded"}},
		{"excluded, and nothing armed", nil, func(t *testing.T, d *desk) answer {
			ann := d.Connect(t)
			ann.Subscribe("room")
			id := d.send("room", broker.Exclude(ann.SocketID()))
			return d.why("room", id, "session", ann.SocketID())
		}, notGot, "excluded", []string{"excluded"}},
		{"cut off as slow", nil, func(t *testing.T, d *desk) answer {
			ann := d.Connect(t)
			ann.Subscribe("room")
			d.trap("session", ann.SocketID())
			var last string
			large := bytes.Repeat([]byte("x"), 200<<10)
			for i := 0; d.Broker.Stats().SlowSessions == 0; i++ {
				last = fmt.Sprint("large-", i)
				_, err := d.App.Publish(t.Context(), "room", "message", large, broker.WithID(last))
				require.NoError(t, err)
			}
			return d.why("room", last, "session", ann.SocketID())
		}, notGot, "cut-off", []string{"subscribed", "cut-off"}},
		{"closed meanwhile", nil, func(t *testing.T, d *desk) answer {
			ann := d.Connect(t)
			ann.Subscribe("room")
			d.trap("channel", "room")
			id := d.send("room")
			ann.Close()
			synctest.Wait()
			return d.why("room", id, "session", ann.SocketID())
		}, notGot, "closed", []string{"subscribed", "queued", "closed"}},
		{"nothing was armed", nil, func(t *testing.T, d *desk) answer {
			ann := d.Connect(t)
			ann.Subscribe("room")
			id := d.send("room")
			ann.Expect("message", "room")
			d.trap("channel", "room")
			return d.why("room", id, "session", ann.SocketID())
		}, unknown, "not-recorded", nil},
		{"nothing is known", nil, func(t *testing.T, d *desk) answer {
			return d.why("room", "no such event", "session", "1.2")
		}, unknown, "not-recorded", nil},
		{"of a channel that keeps it, before anybody looked", []broker.Option{broker.WithChannelRules(
			broker.ChannelRule{Pattern: "kept", History: broker.Retention{Events: 10}})}, func(t *testing.T, d *desk) answer {
			ann := d.Connect(t)
			ann.Subscribe("kept")
			for d.idle.Load() > 0 {
				d.send("kept")
			}
			id := d.send("kept") // which the log leaves out
			a := d.why("kept", id, "session", ann.SocketID())
			assert.NotEmpty(t, a.Event.Position)
			return a
		}, unknown, "not-recorded", nil},
		{"to all", nil, func(t *testing.T, d *desk) answer {
			ann, bob := d.Connect(t), d.Connect(t)
			ann.Subscribe("room")
			bob.Subscribe("room")
			d.trap("channel", "room")
			id := d.send("room")
			ann.Expect("message", "room")
			bob.Expect("message", "room")
			a := d.why("room", id, "", "")
			assert.Len(t, a.Sessions, 2)
			return a
		}, got, "written", nil},
		{"to some", nil, func(t *testing.T, d *desk) answer {
			ann, bob := d.Connect(t), d.Connect(t)
			ann.Subscribe("room")
			bob.Subscribe("room")
			d.trap("channel", "room")
			id := d.send("room", broker.Exclude(bob.SocketID()))
			ann.Expect("message", "room")
			return d.why("room", id, "", "")
		}, partly, "excluded", nil},
		{"only the program was subscribed", nil, func(t *testing.T, d *desk) answer {
			sub, err := d.App.Subscribe(t.Context(), "room")
			require.NoError(t, err)
			t.Cleanup(sub.Close)
			d.trap("channel", "room")
			return d.why("room", d.send("room"), "", "")
		}, notGot, "not-subscribed", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDesk(t, nil, test.options...)
				synctest.Wait() // for the first second to begin
				a := test.do(t, d)
				assert.Equal(t, test.verdict, a.Verdict, "%+v", a)
				assert.Equal(t, test.reason, a.Reason, "%+v", a)
				assert.NotEmpty(t, a.Text)
				if test.steps != nil {
					require.Len(t, a.Sessions, 1)
					assert.Equal(t, test.steps, a.Sessions[0].names())
				}
				if a.Verdict == unknown {
					assert.NotEmpty(t, a.NotRecorded, "it says what was not recorded")
				} else if a.Event != nil {
					assert.Equal(t, "accepted", a.Common[0].Step)
				}
			})
		})
	}
}

// TestTheVerdictIsThatOfAllSessions asks of more sessions than an answer lists.
func TestTheVerdictIsThatOfAllSessions(t *testing.T) {
	e := &tracedEvent{handed: time.Now(), known: true, to: 300, sessions: make(map[string]*way)}
	for i := range 300 {
		step := broker.DeliveryExcluded // as many as are listed, and more
		if i >= 250 {
			step = broker.DeliveryWritten
		}
		e.sessions[fmt.Sprint(i)] = &way{steps: []wayStep{{at: e.handed, step: step}}}
	}
	f := &finding{facts: &e.facts, traced: e, exact: true, to: e.to}
	a := f.answer()
	assert.Equal(t, partly, a.Verdict)
	assert.Equal(t, "50 of 300 sessions got it.", a.Text)
	assert.Equal(t, 50, a.Got)
	assert.Len(t, a.Sessions, maxOutcomes)
	assert.Equal(t, 100, a.MoreSessions)
}

// TestOnlyEventsAreTraced asks who got an entry of the log that tells of something else.
func TestOnlyEventsAreTraced(t *testing.T) {
	d := newDesk(t, nil)
	d.Connect(t).SubscribeAs("presence-room", "ann", `{}`)
	seen := 0
	for _, e := range get[struct{ Events []eventJSON }](d, "/api/events").Events {
		resp := do(d.Console, request(http.MethodGet, fmt.Sprint("/api/trace?seq=", e.Seq), ""))
		assert.Equal(t, http.StatusBadRequest, resp.StatusCode, e.Kind)
		assert.Equal(t, "seq", problemOf(t, resp).Field, e.Kind)
		seen++
	}
	assert.Positive(t, seen)
}

// TestParkedAndHad hold a subscription's past events back, and see what becomes of an event
// that goes out meanwhile.
func TestParkedAndHad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var hold atomic.Bool
		store := storagetest.NewFaults(memory.New(), func(c storagetest.Call) storagetest.Fault {
			if hold.Load() && c.Op == storagetest.OpRead {
				<-release
			}
			return storagetest.Fault{}
		})
		d := newDesk(t, nil, broker.WithHistory(store), broker.WithChannelRules(
			broker.ChannelRule{Pattern: "room", History: broker.Retention{Events: 10}, Rewind: 2}))
		first := d.send("room")
		ann := d.Connect(t)
		d.trap("channel", "room")
		hold.Store(true)
		go ann.Write(`{"event":"pusher:subscribe","data":{"channel":"room"}}`)
		synctest.Wait()
		id := d.send("room")
		a := d.why("room", id, "session", ann.SocketID())
		assert.Equal(t, notGot, a.Verdict, "%+v", a)
		assert.Equal(t, "parked", a.Reason)
		time.Sleep(time.Second)
		hold.Store(false)
		close(release)
		synctest.Wait()
		for ann.Next().Event != "message" {
		}
		ann.Expect("message", "room")
		a = d.why("room", id, "session", ann.SocketID())
		assert.Equal(t, got, a.Verdict, "%+v", a)
		assert.Contains(t, []string{"already-had", "written"}, a.Reason)
		assert.Contains(t, a.Sessions[0].names(), "parked")
		a = d.why("room", first, "session", ann.SocketID())
		assert.Equal(t, notGot, a.Verdict, "it went out before")
		store.Close()
	})
}

func TestWhyARefusedEventWasGotByNobody(t *testing.T) {
	limits, err := ratelimit.New(nil, ratelimit.Rule{Name: "tight", Action: ratelimit.Publish, Limit: ratelimit.Limit{Rate: 0.01, Burst: 1}})
	require.NoError(t, err)
	d := newDesk(t, nil, broker.WithRateLimits(limits), broker.WithHooks(broker.Hooks{Publish: hookThatRefusesEvents("secret")}))
	publish := func(event string) publishedJSON {
		return ask[publishedJSON](d, http.MethodPost, "/api/publish", fmt.Sprintf(`{"app":%q,"channel":"room","event":%q,"data":"x"}`, d.App.ID(), event))
	}
	for event, want := range map[string]string{"secret": byHook, "pusher:x": byInvalid} {
		p := publish(event)
		require.NotNil(t, p.Refused, event)
		assert.Equal(t, want, p.Refused.Reason, event)
		require.NotZero(t, p.Seq, event)
		a := get[answer](d, fmt.Sprintf("/api/trace?seq=%d&session=1.2", p.Seq))
		assert.Equal(t, notGot, a.Verdict)
		assert.Equal(t, want, a.Reason)
		assert.Equal(t, "refused", a.Common[0].Step)
	}
	publish("allowed")
	p := publish("allowed")
	require.NotNil(t, p.Refused)
	assert.Equal(t, byLimit, p.Refused.Reason)
	a := get[answer](d, fmt.Sprintf("/api/trace?seq=%d&user=ann", p.Seq))
	assert.Equal(t, byLimit, a.Reason)
	assert.Contains(t, a.Text, "tight")
}

func TestWhatTheConsolePublishesIsTraced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nil)
		ann, bob := d.Connect(t), d.Connect(t)
		ann.Subscribe("room")
		bob.Subscribe("room")
		p := ask[publishedJSON](d, http.MethodPost, "/api/publish",
			fmt.Sprintf(`{"app":%q,"channel":"room","event":"hello","data":"{\"a\":1}","exclude":%q,"trace":true}`, d.App.ID(), bob.SocketID()))
		assert.Equal(t, "hello", ann.Expect("hello", "room").Event)
		require.NotZero(t, p.Seq)
		a := get[answer](d, fmt.Sprintf("/api/trace?seq=%d", p.Seq))
		assert.Equal(t, partly, a.Verdict, "%+v", a)
		assert.Equal(t, "hello", a.Event.Name)
		armed := get[struct{ Armed []armJSON }](d, "/api/armed").Armed
		require.Len(t, armed, 1)
		assert.Equal(t, "room", armed[0].Channel)
		time.Sleep(armForPublish + time.Second)
		assert.Empty(t, get[struct{ Armed []armJSON }](d, "/api/armed").Armed, "its time is over")
		assert.Zero(t, d.traces.steps)
	})
}

func TestASecondSessionOfAnArmedUserIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nil)
		ann := d.Connect(t)
		ann.SignIn("ann")
		d.trap("user", "ann")
		phone := d.Connect(t)
		phone.Subscribe("room")
		phone.SignIn("ann") // which nothing tells
		time.Sleep(2 * time.Second)
		id := d.send("room")
		phone.Expect("message", "room")
		a := d.why("room", id, "user", "ann")
		assert.Equal(t, partly, a.Verdict, "%+v", a)
		assert.Len(t, a.Sessions, 2)
	})
}

func TestArmsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, []Option{WithLimits(Limits{Armed: 2, TracedEvents: 3, TracedSteps: 10})})
		var clients []*brokertest.Client
		for range 4 {
			c := d.Connect(t)
			c.Subscribe("room")
			clients = append(clients, c)
		}
		one := d.trap("channel", "room")
		d.trap("channel", "other")
		resp := do(d.Console, request(http.MethodPost, "/api/arm", `{"app":"1","channel":"third"}`))
		assert.Equal(t, http.StatusTooManyRequests, resp.StatusCode)

		first := d.send("room")
		for range 10 {
			d.send("room")
		}
		last := d.send("room")
		for _, c := range clients {
			for range 12 {
				c.Expect("message", "room")
			}
		}
		list := get[struct{ Armed []armJSON }](d, "/api/armed").Armed
		require.Len(t, list, 2)
		assert.LessOrEqual(t, list[0].Events, 3)
		assert.Positive(t, list[0].Forgotten)
		assert.LessOrEqual(t, d.traces.steps, 10)
		a := d.why("room", first, "session", clients[0].SocketID())
		assert.Equal(t, unknown, a.Verdict)
		assert.Contains(t, a.Text, "made room")
		a = d.why("room", last, "", "")
		assert.NotEqual(t, "", a.Verdict)

		resp = do(d.Console, request(http.MethodDelete, "/api/arm?id="+one.ID, ""))
		assert.Equal(t, http.StatusOK, resp.StatusCode)
		assert.Zero(t, d.traces.steps)
	})
}

package console

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
)

// piped is a listener whose connections are pipes, so that time-outs of a server are those of
// the test's own time.
type piped struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p *piped) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}
func (p *piped) Close() error   { close(p.closed); return nil }
func (p *piped) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// serve serves the console over pipes, and returns what makes a connection.
func (d *desk) serve() (dial func() net.Conn) {
	p := &piped{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: d.Console}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(p)
	}()
	d.t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return func() net.Conn {
		client, at := net.Pipe()
		p.conns <- at
		d.t.Cleanup(func() { _ = client.Close() })
		return client
	}
}

// viewer reads a stream.
type viewer struct {
	t      *testing.T
	conn   net.Conn
	lines  *bufio.Reader
	status int
}

type streamed struct{ event, id, data string }

func (d *desk) view(dial func() net.Conn, query string, header ...string) *viewer {
	d.t.Helper()
	v := &viewer{t: d.t, conn: dial()}
	fmt.Fprintf(v.conn, "GET /api/events/stream?%s HTTP/1.1\r\nHost: localhost\r\n%s\r\n", query, strings.Join(append(header, ""), "\r\n"))
	resp, err := http.ReadResponse(bufio.NewReader(v.conn), nil)
	require.NoError(d.t, err)
	v.status, v.lines = resp.StatusCode, bufio.NewReader(resp.Body)
	return v
}

func (v *viewer) next() (s streamed, err error) {
	for {
		line, err := v.lines.ReadString('\n')
		if err != nil {
			return s, err
		}
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch name {
		case "event":
			s.event = value
		case "id":
			s.id = value
		case "data":
			s.data = value
		case "":
			if s.event != "" {
				return s, nil
			}
		}
	}
}

type batch struct {
	Events  []eventJSON
	Skipped int
	Lost    uint64
	Newest  uint64
}

// batch waits for the next one of the log.
func (v *viewer) batch() (b batch, id string) {
	v.t.Helper()
	for {
		s, err := v.next()
		require.NoError(v.t, err)
		if s.event == "events" {
			require.NoError(v.t, json.Unmarshal([]byte(s.data), &b))
			return b, s.id
		}
	}
}

func TestStreamSendsTheLogInBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nil)
		dial := d.serve()
		v := d.view(dial, "kind=publish&channel=room*")
		require.Equal(t, http.StatusOK, v.status)
		first, err := v.next()
		require.NoError(t, err)
		assert.Equal(t, "now", first.event, "the figures come at once")
		for range 250 {
			d.send("room-1")
		}
		d.send("other")
		b, id := v.batch()
		assert.Len(t, b.Events, streamEvents)
		assert.Equal(t, 250-streamEvents, b.Skipped)
		assert.Equal(t, fmt.Sprint(b.Newest), id)
		assert.Equal(t, "room-1", b.Events[0].Channel)
		assert.Less(t, b.Events[0].Seq, b.Events[1].Seq, "oldest first")

		began := time.Now()
		last := d.send("room-2")
		b, id = v.batch()
		require.Len(t, b.Events, 1)
		assert.Equal(t, last, b.Events[0].ID)
		assert.LessOrEqual(t, time.Since(began), 2*streamStep)

		// Who comes back goes on where it was.
		require.NoError(t, v.conn.Close())
		missed := d.send("room-3")
		v = d.view(dial, "kind=publish&channel=room*", "Last-Event-ID: "+id)
		b, _ = v.batch()
		require.Len(t, b.Events, 1)
		assert.Equal(t, missed, b.Events[0].ID)
		// A number of another run of the server is not one to wait for.
		v = d.view(dial, "kind=publish&after=999999")
		next := d.send("room-4")
		b, _ = v.batch()
		require.Len(t, b.Events, 1)
		assert.Equal(t, next, b.Events[0].ID)
	})
}

func TestStreamSendsFiguresEverySecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nil)
		v := d.view(d.serve(), "events=0")
		assert.False(t, d.looking.Load(), "who wants figures only does not look at the log")
		began := time.Now()
		for range 5 {
			s, err := v.next()
			require.NoError(t, err)
			assert.Equal(t, "now", s.event)
		}
		assert.InDelta(t, 4*time.Second, time.Since(began), float64(5*streamStep))
		d.trap("channel", "room")
		for {
			s, err := v.next()
			require.NoError(t, err)
			if s.event == "trace" {
				break
			}
		}
	})
}

func TestStreamsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, []Option{WithLimits(Limits{Viewers: 2})})
		dial := d.serve()
		one := d.view(dial, "")
		d.view(dial, "events=0")
		assert.True(t, d.looking.Load())
		assert.Equal(t, http.StatusTooManyRequests, d.view(dial, "").status)
		require.NoError(t, one.conn.Close())
		time.Sleep(2 * time.Second)
		assert.Equal(t, 1, d.viewers.count())
		assert.False(t, d.looking.Load())
		assert.Equal(t, http.StatusOK, d.view(dial, "").status)
	})
}

func TestASlowViewerIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nil)
		v := d.view(d.serve(), "") // which reads no further
		began := time.Now()
		for range 3000 {
			d.send("room") // which never waits
		}
		assert.Zero(t, time.Since(began))
		time.Sleep(streamTimeout + 2*time.Second)
		assert.Zero(t, d.viewers.count())
		_, err := io.Copy(io.Discard, v.lines)
		assert.Error(t, err)
	})
}

func TestAViewerWhoReadsLateIsToldWhatIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, []Option{WithLimits(Limits{Events: 64, EventBytes: 1 << 20})})
		v := d.view(d.serve(), "kind=publish")
		for range 1000 {
			d.send("room")
		}
		b, _ := v.batch()
		assert.Positive(t, b.Lost)
		assert.EqualValues(t, 1000, b.Lost+uint64(len(b.Events)+b.Skipped))
	})
}

func TestAStreamEndsWithItsPermission(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nil)
		a := newTokenAuthorizer(testToken)
		d.auth = a
		dial := d.serve()
		cookie := a.signIn()
		assert.Equal(t, http.StatusUnauthorized, d.view(dial, "").status)
		v := d.view(dial, "events=0", "Cookie: "+cookieName+"="+cookie)
		require.Equal(t, http.StatusOK, v.status)
		a.signOut(cookie)
		var last streamed
		for {
			s, err := v.next()
			if err != nil {
				break
			}
			last = s
		}
		assert.Equal(t, "bye", last.event)
		assert.Contains(t, last.data, "signed-out")

		v = d.view(dial, "", "Authorization: Bearer "+testToken)
		closing := make(chan struct{})
		go func() { defer close(closing); d.Close() }()
		for {
			s, err := v.next()
			if err != nil {
				break
			}
			last = s
		}
		assert.Contains(t, last.data, "closed")
		<-closing
	})
}

func TestLogTellsOfEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nil, broker.WithHooks(broker.Hooks{
			Subscribe: func(_ context.Context, r *broker.SubscribeRequest) error {
				if r.Channel == "closed" {
					return broker.Refuse(403, "not today")
				}
				return nil
			},
			Published: func(context.Context, broker.EventChange) { panic("oops") },
		}))
		ann := d.Connect(t)
		ann.SignIn("ann")
		ann.SubscribeAs("presence-room", "ann", `{}`)
		ann.Write(`{"event":"pusher:subscribe","data":{"channel":"closed"}}`)
		ann.Trigger("presence-room", "client-hello", "x")
		d.send("room")
		_, err := d.App.Publish(t.Context(), "room", "pusher:no", nil)
		require.Error(t, err)
		synctest.Wait()
		ann.Close()
		synctest.Wait()
		page := get[struct{ Events []eventJSON }](d, "/api/events?limit=200").Events
		seen := make(map[string]eventJSON)
		for _, e := range page {
			seen[e.Kind] = e
			assert.NotEmpty(t, e.Text, e.Kind)
		}
		for _, k := range []kind{kindConnect, kindDisconnect, kindSubscribe, kindRefuseSubscribe, kindUnsubscribe, kindPublish, kindClientEvent,
			kindRefusePublish, kindJoin, kindLeave, kindOnline, kindOffline, kindOccupied, kindVacated, kindHook} {
			assert.Contains(t, seen, k.String())
		}
		assert.Equal(t, "ann", seen["client-event"].User)
		assert.Equal(t, byHook, seen["refuse-subscribe"].Reason)
		assert.Contains(t, seen["refuse-subscribe"].Text, "not today")
		assert.Equal(t, "x", *seen["publish"].Data)

		now := get[nowJSON](d, "/api/now")
		assert.NotEmpty(t, now.Refusals)
		assert.NotEmpty(t, now.Errors)
		for _, test := range []struct {
			query string
			want  int
		}{
			{"kind=publish", 1}, {"kind=publish,client-event", 2}, {"channel=presence-*&kind=join", 1}, {"user=ann&kind=online", 1},
			{"q=not%20today", 1}, {"session=" + ann.SocketID() + "&kind=connect", 1}, {"event=client-*", 1}, {"app=other", 0}, {"q=HELLO", 1},
		} {
			assert.Len(t, get[struct{ Events []eventJSON }](d, "/api/events?"+test.query).Events, test.want, test.query)
		}
		// Pages fit together.
		var all []uint64
		target := "/api/events?limit=3"
		for next := ""; ; {
			p := get[struct {
				Events []eventJSON
				Next   uint64
			}](d, target+next)
			for _, e := range p.Events {
				all = append(all, e.Seq)
			}
			if p.Next == 0 {
				break
			}
			next = fmt.Sprintf("&before=%d", p.Next)
		}
		assert.Len(t, all, len(page))
		for i := range all {
			assert.Equal(t, page[i].Seq, all[i])
		}
	})
}

func TestWhileNobodyLooksLittleIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, []Option{WithLimits(Limits{IdlePerSecond: 10})})
		synctest.Wait() // for the first second to begin
		for range 100 {
			d.send("room")
		}
		now := get[nowJSON](d, "/api/now")
		assert.EqualValues(t, 90, now.Console.NotRecorded)
		time.Sleep(1500 * time.Millisecond)
		for range 100 {
			d.send("room")
		}
		assert.EqualValues(t, 180, get[nowJSON](d, "/api/now").Console.NotRecorded)
		get[struct{}](d, "/api/events") // now somebody looks
		for range 100 {
			d.send("room")
		}
		assert.EqualValues(t, 180, get[nowJSON](d, "/api/now").Console.NotRecorded)
		time.Sleep(looked + 2*time.Second)
		assert.False(t, d.looking.Load())
	})
}

func TestTheLogTakesOnlySoMuchInASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, []Option{WithLimits(Limits{PerSecond: 20})})
		time.Sleep(1500 * time.Millisecond)
		for range 50 {
			_, err := d.App.Publish(t.Context(), "room", "pusher:no", nil)
			require.Error(t, err)
		}
		assert.EqualValues(t, 30, get[nowJSON](d, "/api/now").Console.NotRecorded)
		refusals := get[nowJSON](d, "/api/now").Refusals
		require.Len(t, refusals, 1)
		assert.EqualValues(t, 50, refusals[0].Count, "which are counted all the same")
	})
}

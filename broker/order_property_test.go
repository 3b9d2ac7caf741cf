package broker_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/storagetest"
	"github.com/carillon-rt/carillon/transport"
)

var (
	schedules = flag.Int("schedules", 48, "how many random schedules of publishers, subscribers and faults are tried")
	firstSeed = flag.Uint64("seed", 1, "the first of the seeds of these schedules")
)

// seen is what a subscriber has got: an event, or a gap.
type seen struct {
	position storage.Position
	data     string
	gap      bool
}

// recorder is a session's connection and protocol that notes what goes into the
// session's queue.
type recorder struct {
	sink
	mu  sync.Mutex
	got []seen // guarded by mu
}

// words encodes an event as itself.
type words struct{ messages sync.Map }

func (w *words) Encode(n broker.Notice) *transport.Message {
	m := transport.NewMessage([]byte("x"))
	switch n := n.(type) {
	case broker.EventNotice:
		w.messages.Store(m, seen{n.Position, text(n.Data), false})
	case broker.GapNotice:
		w.messages.Store(m, seen{gap: true})
	}
	return m
}

func (*words) Close(broker.CloseReason) (int, string) { return 4200, "" }

type recording struct {
	*recorder
	words *words
}

func (r *recording) Send(m *transport.Message) error {
	if s, ok := r.words.messages.Load(m); ok {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.got = append(r.got, s.(seen))
	}
	return nil
}

// text is the data of an event without what makes it large.
func text(data []byte) string {
	text, _, _ := strings.Cut(string(data), "\x00")
	return text
}

// has reports whether an event is in the queue, or a gap came after the first n.
func (r *recorder) has(data string, n int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.got, func(s seen) bool { return s.data == data }) ||
		slices.ContainsFunc(r.got[n:], func(s seen) bool { return s.gap })
}

func (r *recorder) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.got)
}

// node is one broker on the shared engine, with a session and an in-process
// subscription that stay, and others that come and go.
type node struct {
	broker  *broker.Broker
	app     *broker.App
	session *recorder
	ended   *broker.Session

	mu      sync.Mutex
	streams [][]seen // guarded by mu: of in-process subscriptions, in the end
	resumed []int    // guarded by mu: the number of streams that each of streams is the continuation of, or -1
}

// schedule is one run of the model.
type schedule struct {
	t      *testing.T
	engine *storagetest.Engine
	nodes  []*node

	mu       sync.Mutex
	rand     *rand.Rand        // guarded by mu
	calm     bool              // guarded by mu: there are no faults any more
	acked    map[string]bool   // guarded by mu
	excluded map[string]string // guarded by mu: the socket ID that an event is kept from
	// lost are positions that were acknowledged and not handed out: a rollback must have
	// taken them.
	lost []storage.Position // guarded by mu

	seed uint64
	kind kind
}

// kind is what a schedule is about.
type kind int

const (
	together   kind = iota // brokers that share the engine and hear of each other
	alone                  // one broker, which the engine tells nothing
	rolledBack             // the engine is restored to an older copy now and then
	short                  // a short history, and nothing that takes long: there must be no gap
	fleeting               // a short history, and all faults: gaps are told
	unkept                 // no history, but idempotency keys
	heavy                  // large events, of which few may wait
	passing                // nobody stays: channels come and go while publishers wait
	kinds
)

func (k kind) String() string {
	return [...]string{"together", "alone", "rolled back", "short", "fleeting", "unkept", "heavy", "passing"}[k]
}

func (k kind) retention() storage.Retention {
	switch k {
	case short, fleeting:
		return storage.Retention{Events: 3}
	case unkept:
		return storage.Retention{}
	}
	return storage.Retention{Events: 10_000}
}

func (s *schedule) chance(percent int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.calm && s.rand.IntN(100) < percent
}

func (s *schedule) below(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rand.IntN(n)
}

func (s *schedule) millis(n int) time.Duration { return time.Duration(1+s.below(n)) * time.Millisecond }

// lateData is the data of an event that the engine takes long after it has said no.
const lateData = "late"

var errFault = errors.New("fault of the test")

// faults are what goes wrong between a node and the engine.
func (s *schedule) faults(c storagetest.Call) (f storagetest.Fault) {
	switch c.Op {
	case storagetest.OpAppend:
		switch {
		case string(c.Event.Data) == lateData:
			return storagetest.Fault{Err: errFault, Late: 2 * time.Second}
		case s.chance(8):
			f.Err, f.Taken = errFault, true
		case s.chance(4):
			f.Err = errFault
		case s.kind != short && s.chance(4):
			f.Err, f.Late = errFault, s.millis(3000)
		case s.kind != short && s.chance(2):
			f.Hang, f.Taken = true, s.chance(50)
		}
		if s.chance(40) {
			f.Wait = s.millis(5)
		}
		if s.chance(40) {
			f.Hold = s.millis(8)
		}
	case storagetest.OpRead:
		switch {
		case s.chance(10):
			f.Err = errFault
		case s.kind != short && s.chance(1):
			f.Hang = true
		case s.chance(30):
			f.Hold = s.millis(20)
		}
	case storagetest.OpLatest:
		switch {
		case s.chance(10):
			f.Err = errFault
		case s.chance(20):
			f.Hold = s.millis(10)
		}
	case storagetest.OpNotify:
		switch {
		case s.chance(20):
			f.Drop = true
		case s.chance(20):
			f.Repeat = 1 + s.below(2)
		}
		if s.chance(50) {
			f.Wait = s.millis(50)
		}
	}
	return f
}

// behind is an engine whose reads come from a copy that is behind now and then.
type behind struct {
	*storagetest.Engine
	s *schedule
}

func (b *behind) Read(ctx context.Context, ch storage.ChannelID, opts storage.ReadOptions) (storage.Page, error) {
	page, err := b.Engine.Read(ctx, ch, opts)
	if err != nil || !b.s.chance(25) {
		return page, err
	}
	from := opts.From
	if !opts.Backward && from.Offset > 1 && b.s.chance(30) {
		return storage.Page{}, &storage.GapError{Channel: ch, From: from, Latest: storage.Position{Epoch: from.Epoch, Offset: from.Offset - 1}}
	}
	cut := b.s.below(len(page.Events) + 1)
	switch {
	case opts.Backward && cut < len(page.Events):
		page.Events, page.Latest = page.Events[cut:], page.Events[cut].Position
	case !opts.Backward && cut > 0:
		page.Events, page.Latest, page.More = page.Events[:cut], page.Events[cut-1].Position, false
	case !opts.Backward && !from.IsZero():
		page.Events, page.Latest, page.More = nil, from, false
	}
	return page, nil
}

// lonely is a history that nobody else has, and that tells nothing.
type lonely struct{ storage.History }

func (s *schedule) node() *node {
	faults := storagetest.NewFaults(&behind{s.engine, s}, s.faults)
	s.t.Cleanup(faults.Close)
	var history storage.History = faults
	if s.kind == alone || s.kind == unkept {
		history = lonely{faults}
	}
	b, err := broker.New(broker.WithHistory(history), broker.WithDrainWindow(0), broker.WithLogger(slog.New(slog.DiscardHandler)),
		broker.WithChannelRules(broker.ChannelRule{Pattern: "*", History: s.kind.retention()}))
	require.NoError(s.t, err)
	n := &node{broker: b, app: b.App("1"), session: &recorder{}}
	w := &words{}
	n.ended, err = b.Connect(s.t.Context(), broker.ConnectOptions{
		ConnectRequest: broker.ConnectRequest{App: "1"}, Conn: &recording{n.session, w}, Protocol: w})
	require.NoError(s.t, err)
	require.NoError(s.t, n.ended.Subscribe(s.t.Context(), broker.SubscribeRequest{Channel: "room"}))
	return n
}

// publish publishes n events, and tries again those that failed.
func (s *schedule) publish(n *node, publisher, count int) {
	for i := range count {
		if s.t.Failed() {
			return
		}
		data := fmt.Sprint(publisher, "-", i)
		opts := []broker.PublishOption{broker.IdempotencyKey(data)}
		if s.chance(10) {
			opts = append(opts, broker.Exclude(n.ended.ID()))
			s.mu.Lock()
			s.excluded[data] = n.ended.ID()
			s.mu.Unlock()
		}
		payload := []byte(data)
		if s.kind == heavy {
			payload = append(payload, make([]byte, 400<<10)...)
		}
		before := n.session.len()
		for try := 0; ; try++ {
			ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
			done, err := n.app.Publish(ctx, "room", "message", payload, opts...)
			cancel()
			if err == nil {
				s.mu.Lock()
				s.acked[data] = true
				excluded, missing := s.excluded[data] != "", s.kind != passing && !n.session.has(data, before)
				if missing && !excluded && s.kind == rolledBack {
					s.lost = append(s.lost, done.Position)
				}
				s.mu.Unlock()
				if missing && !excluded && s.kind != rolledBack {
					s.t.Errorf("seed %d (%v): %s was acknowledged before it was in the queue of who was there", s.seed, s.kind, data)
				}
				break
			}
			if errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, storage.ErrOutcomeUnknown) {
				s.t.Errorf("seed %d (%v): %s was stored, and not handed out within a minute: %v", s.seed, s.kind, data, err)
			}
			if try > 20 || s.t.Failed() {
				break
			}
		}
		time.Sleep(s.millis(6))
	}
}

// visit subscribes in process again and again, and resumes each time.
func (s *schedule) visit(n *node, ctx context.Context) {
	var last storage.Position
	previous := -1
	for ctx.Err() == nil {
		visit, leave := context.WithTimeout(ctx, s.millis(60))
		var opts []broker.SubscribeOption
		if !last.IsZero() {
			opts = append(opts, broker.After(last))
		} else if s.chance(30) {
			opts = append(opts, broker.WithRewind(3))
		}
		var stream []seen
		failed := false
		sub, err := n.app.Subscribe(visit, "room", opts...)
		if err != nil {
			leave()
			time.Sleep(s.millis(30))
			continue
		}
		for ev, err := range sub.Events() {
			switch {
			case err == nil:
				stream = append(stream, seen{ev.Position, text(ev.Data), false})
				last = ev.Position
			case errors.Is(err, storage.ErrGap):
				stream = append(stream, seen{gap: true})
			default:
				failed = true
			}
		}
		leave()
		if !failed {
			n.mu.Lock()
			n.streams, n.resumed = append(n.streams, stream), append(n.resumed, previous)
			previous = len(n.streams) - 1
			n.mu.Unlock()
		}
		time.Sleep(s.millis(30))
	}
}

// stay subscribes in process until the end.
func (s *schedule) stay(n *node, ctx context.Context) func() []seen {
	var mu sync.Mutex
	var stream []seen
	sub, err := n.app.Subscribe(ctx, "room")
	require.NoError(s.t, err)
	go func() {
		for ev, err := range sub.Events() {
			mu.Lock()
			if err == nil {
				stream = append(stream, seen{ev.Position, text(ev.Data), false})
			} else {
				stream = append(stream, seen{gap: true})
			}
			mu.Unlock()
		}
	}()
	return func() []seen {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(stream)
	}
}

// check holds a stream against the history: in order, nothing twice, and nothing
// left out without a gap. after is where it went on from, if it did; socket is who
// the stream belongs to.
func check(t *testing.T, name, socket string, history []storage.Event, after storage.Position, stream []seen) storage.Position {
	last, gap := after, false
	for _, got := range stream {
		if got.gap {
			gap = true
			continue
		}
		require.True(t, got.position.After(last), "%s: %v came after %v", name, got.position, last)
		if !last.IsZero() && !gap {
			for i := range history {
				p := history[i].Position
				require.False(t, p.After(last) && got.position.After(p) && (socket == "" || history[i].Exclude != socket),
					"%s: %v (%s) is missing between %v and %v", name, p, text(history[i].Data), last, got.position)
			}
		}
		last, gap = got.position, false
	}
	return last
}

func run(t *testing.T, seed uint64) {
	s := &schedule{t: t, rand: rand.New(rand.NewPCG(seed, 1)), acked: map[string]bool{}, excluded: map[string]string{}, seed: seed, kind: kind(seed) % kinds}
	s.engine = storagetest.NewEngine(s.chance(50))
	for range 1 + s.below(2) {
		if s.nodes = append(s.nodes, s.node()); s.kind == alone || s.kind == unkept {
			break
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var publishing, visiting sync.WaitGroup
	var staying []func() []seen
	for i, n := range s.nodes {
		if s.kind == passing {
			n.ended.Unsubscribe(ctx, "room")
		} else {
			staying = append(staying, s.stay(n, ctx))
		}
		for p := range 2 + s.below(3) {
			publishing.Go(func() { s.publish(n, 10*i+p, 5+s.below(10)) })
		}
		for range 2 {
			visiting.Go(func() { s.visit(n, ctx) })
		}
	}
	if s.kind == rolledBack {
		publishing.Go(func() {
			for range 2 {
				copied := s.engine.Copy()
				time.Sleep(s.millis(40))
				s.engine.Restore(copied)
				time.Sleep(s.millis(100))
			}
		})
	}
	publishing.Wait()
	if t.Failed() {
		t.FailNow()
	}
	for _, n := range s.nodes {
		if s.kind == alone {
			_, err := n.app.Publish(t.Context(), "room", "message", []byte(lateData))
			require.ErrorIs(t, err, errFault)
		}
	}
	s.mu.Lock()
	s.calm = true
	s.mu.Unlock()
	time.Sleep(time.Minute) // until the last hung call is over and idle channels were looked at

	for i, n := range s.nodes {
		// What is stored has reached those who are there, although nobody publishes.
		if latest, err := n.app.Latest(t.Context(), "room"); s.kind != unkept && s.kind != rolledBack && s.kind != passing {
			require.NoError(t, err)
			require.Equal(t, latest, lastOf(staying[i]()), "seed %d (%v), node %d: the latest is not handed out", seed, s.kind, i)
		}
	}
	for i, n := range s.nodes {
		_, err := n.app.Publish(t.Context(), "room", "message", []byte(fmt.Sprint("last-", i)))
		require.NoError(t, err)
	}
	time.Sleep(time.Minute)
	cancel()
	visiting.Wait()
	synctest.Wait()
	page, err := s.engine.Read(t.Context(), storage.ChannelID{App: "1", Name: "room"}, storage.ReadOptions{Fill: true})
	require.NoError(t, err)
	for i, n := range s.nodes {
		name := fmt.Sprintf("seed %d (%v), node %d", seed, s.kind, i)
		s.judgeVisits(name, n, page.Events)
		if s.kind != passing {
			s.judge(name, n, page.Events, staying[i]())
		}
		n.ended.End(1000)
		require.NoError(t, n.broker.Shutdown(t.Context()))
	}
	for _, p := range s.lost {
		require.False(t, slices.ContainsFunc(page.Events, func(ev storage.Event) bool { return ev.Position == p }),
			"seed %d: the event at %v was acknowledged before it was in the queue of who was there", seed, p)
	}
	for data := range s.acked {
		kept := slices.ContainsFunc(page.Events, func(ev storage.Event) bool { return text(ev.Data) == data })
		require.True(t, kept || s.kind.retention().Events < 1000 || s.kind == rolledBack, "seed %d: %s was lost", seed, data)
	}
}

func lastOf(stream []seen) storage.Position {
	for i := len(stream) - 1; i >= 0; i-- {
		if !stream[i].gap {
			return stream[i].position
		}
	}
	return storage.Position{}
}

// judge holds what the subscribers of a node have got against what is kept.
func (s *schedule) judge(name string, n *node, history []storage.Event, staying []seen) {
	t := s.t
	session := n.session.got
	for data, socket := range s.excluded {
		for _, got := range session {
			require.False(t, got.data == data && socket == n.ended.ID(), "%s: the session got %s, which was kept from it", name, data)
		}
	}
	if s.kind == unkept {
		for data := range s.acked {
			count := func(stream []seen) (n int) {
				for _, got := range stream {
					if got.data == data {
						n++
					}
				}
				return n
			}
			require.Equal(t, 1, count(staying), "%s: %s", name, data)
		}
		return
	}
	end := history[len(history)-1].Position
	// These were there before anything was published.
	begin := storage.Position{Epoch: storage.Epoch{Random: 1}}
	require.Equal(t, end, check(t, name+", who stays", "", history, begin, staying), "%s: does not reach the end", name)
	// A session is told of gaps too here, as one is that asks for positions.
	require.Equal(t, end, check(t, name+", the session", n.ended.ID(), history, begin, session), "%s: the session does not reach the end", name)
	if s.kind == short {
		// The store may not have been able to say where the channel stands at first.
		require.False(t, slices.ContainsFunc(staying[min(1, len(staying)):], func(got seen) bool { return got.gap }), "%s: a gap without need", name)
	}
}

// judgeVisits does so for those who came and went, and went on where they had left
// off.
func (s *schedule) judgeVisits(name string, n *node, history []storage.Event) {
	if s.kind == unkept {
		return
	}
	ends := make([]storage.Position, len(n.streams))
	for j, stream := range n.streams {
		var after storage.Position
		if n.resumed[j] >= 0 {
			after = ends[n.resumed[j]]
		}
		ends[j] = check(s.t, fmt.Sprintf("%s, visit %d", name, j), "", history, after, stream)
	}
}

// Whatever goes wrong between several brokers and the engine they share: all
// subscribers see what is kept in one order, nothing twice, nothing left out without
// being told, and what was acknowledged is kept and handed out.
func TestEverySubscriberSeesTheHistoryOnceAndInOrder(t *testing.T) {
	for i := range *schedules {
		seed := *firstSeed + uint64(i)
		synctest.Test(t, func(t *testing.T) { run(t, seed) })
		if t.Failed() {
			t.Fatalf("run it again with -seed %d -schedules 1", seed)
		}
	}
}

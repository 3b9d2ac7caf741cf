package console

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestLogIsTheEndOfWhatWasWritten compares the log with a list that keeps everything.
func TestLogIsTheEndOfWhatWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := Limits{Events: rapid.IntRange(1, 200).Draw(t, "events"), EventBytes: rapid.IntRange(1, 100_000).Draw(t, "bytes"),
			DataBytes: rapid.IntRange(1, 300).Draw(t, "data bytes")}
		g := newEventLog(limits)
		var all []record
		channels := []string{"", "room", strings.Repeat("é", 300), "#server-to-user-" + strings.Repeat("x", 100)}
		t.Repeat(map[string]func(*rapid.T){
			"write": func(t *rapid.T) {
				message, data := rapid.IntRange(0, 2*maxText).Draw(t, "message"), rapid.IntRange(0, 2*limits.DataBytes).Draw(t, "data")
				for range rapid.IntRange(1, 40).Draw(t, "n") {
					r := record{facts: facts{at: time.Unix(int64(len(all)), 0), kind: kindPublish, size: len(all)}}
					r.texts[textChannel] = channels[len(all)%len(channels)]
					r.texts[textMessage] = strings.Repeat("m", message*(len(all)%3)/2)
					r.data = []byte(strings.Repeat("d", data*(len(all)%4)/3))
					seq := g.add(&r)
					all = append(all, r)
					require.EqualValues(t, len(all), seq)
				}
			},
			"read": func(t *rapid.T) {
				oldest, next, dropped := g.bounds()
				require.EqualValues(t, len(all)+1, next)
				require.Equal(t, oldest-1, dropped)
				size, entries := 0, 0
				for _, s := range g.segments {
					size += cap(s.buf)
					entries += cap(s.entries)
				}
				require.LessOrEqual(t, entries, max(limits.Events, logSegments))
				require.LessOrEqual(t, size, max(limits.EventBytes, logSegments*(limits.DataBytes+(texts-1)*maxText)))
				from := uint64(1)
				var some []logged
				for seen := oldest; ; {
					if some = g.read(from, some); len(some) == 0 {
						require.Equal(t, next, seen)
						break
					}
					require.LessOrEqual(t, len(some), chunk)
					for i := range some {
						if seen != some[i].seq {
							t.Fatalf("read entry %d for %d", some[i].seq, seen)
						}
						check(t, &all[seen-1], &some[i], limits)
						seen++
					}
					from = seen
				}
				before := next
				for {
					if some = g.readBack(before, some); len(some) == 0 {
						require.Equal(t, oldest, before)
						break
					}
					require.Equal(t, before-1, some[len(some)-1].seq)
					check(t, &all[before-2], &some[len(some)-1], limits)
					before = some[0].seq
				}
				for _, seq := range []uint64{0, oldest - 1, oldest, next - 1, next, next + 100} {
					e, ok := g.at(seq)
					require.Equal(t, seq >= oldest && seq < next, ok, "%d of %d to %d", seq, oldest, next)
					if ok {
						require.Equal(t, seq, e.seq)
					}
				}
			},
		})
	})
}

// check compares without testify, which would take most of the time.
func check(t *rapid.T, want *record, got *logged, limits Limits) {
	data := string(want.data[:min(len(want.data), limits.DataBytes)])
	if want.size != got.size || cut(want.texts[textChannel], maxText) != got.text(textChannel) ||
		cut(want.texts[textMessage], maxText) != got.text(textMessage) || got.text(textApp) != "" ||
		data != got.text(textData) || got.cut != (len(want.data) > limits.DataBytes) {
		t.Fatalf("wrote %+v, read %+v", want, got)
	}
}

// TestTheLogIsReadForWhoWaits: a pattern may take long for a log that is full.
func TestTheLogIsReadForWhoWaits(t *testing.T) {
	d := newDesk(t, nil)
	d.send("room")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	d.newest(ctx, new(filter), 1<<62, func(*logged) bool { return assert.Fail(t, "nobody waits") })
}

func TestLogIsSafeForAll(t *testing.T) {
	g := newEventLog(Limits{Events: 100, EventBytes: 10_000, DataBytes: 50})
	var all sync.WaitGroup
	for w := range 4 {
		all.Go(func() {
			for i := range 2000 {
				r := record{facts: facts{kind: kindPublish, code: w}}
				r.texts[textEvent] = fmt.Sprintf("event-%d-%d", w, i)
				r.data = []byte(r.texts[textEvent])
				g.add(&r)
			}
		})
	}
	all.Go(func() {
		var some []logged
		for from := uint64(1); from <= 8000; {
			some = g.read(from, some)
			for i := range some {
				assert.Equal(t, some[i].text(textEvent), some[i].text(textData))
				from = some[i].seq + 1
			}
		}
	})
	all.Wait()
}

func TestLogHoldsOnToNothingAndAllocatesNothing(t *testing.T) {
	g := newEventLog(Limits{Events: 256, EventBytes: 1 << 16, DataBytes: 64})
	r := record{facts: facts{kind: kindPublish}, data: []byte("some data")}
	r.texts[textChannel] = "room"
	for range 2000 {
		g.add(&r)
	}
	assert.Zero(t, testing.AllocsPerRun(1000, func() { g.add(&r) }))
}

package broker_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/memory"
	"github.com/carillon-rt/carillon/storage/storagetest"
)

// replica makes of what a subscriber gets what the history has.
type replica struct {
	order []string
	text  map[string]string
	at    map[string]uint64
}

func (f *replica) take(ev broker.Event) error {
	if ev.Amends == 0 {
		f.order = append(f.order, ev.ID)
		f.text[ev.ID], f.at[ev.ID] = string(ev.Data), 0
		return nil
	}
	var said broker.AmendmentData
	if err := json.Unmarshal(ev.Data, &said); err != nil {
		return err
	}
	if _, known := f.at[said.ID]; !known && ev.Amends == storage.Retract {
		f.order = append(f.order, said.ID) // in the place of the event
		f.text[said.ID], f.at[said.ID] = "-", said.Version
		return nil
	}
	if f.text[said.ID] == "-" {
		return nil // all that is left says so again
	}
	if ev.Amends != storage.Retract && said.Version != f.at[said.ID]+1 {
		return fmt.Errorf("version %d of event %s came after %d", said.Version, said.ID, f.at[said.ID])
	}
	f.at[said.ID] = said.Version
	switch ev.Amends {
	case storage.Edit:
		var text string
		err := json.Unmarshal(said.Data, &text)
		f.text[said.ID] = text
		return err
	case storage.Extend:
		f.text[said.ID] += *said.Text
	case storage.Retract:
		f.text[said.ID] = "-"
	}
	return nil
}

// TestSubscribersKnowWhatTheHistoryHas has a broker amend, and a subscriber at another one
// that is not always told of it, and reads what it has missed.
func TestSubscribersKnowWhatTheHistoryHas(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(rapid.IntRange(0, 1<<16), 1, 25).Draw(rt, "steps")
		drops := rapid.SliceOfN(rapid.IntRange(0, 3), 1, 10).Draw(rt, "notifications")
		var failed error
		synctest.Test(t, func(t *testing.T) { failed = followAmendments(t, steps, drops) })
		if failed != nil {
			rt.Fatal(failed)
		}
	})
}

func followAmendments(t *testing.T, steps, drops []int) (err error) {
	store := memory.New(memory.WithShared())
	var mu sync.Mutex
	told := 0
	deaf := storagetest.NewFaults(store, func(c storagetest.Call) storagetest.Fault {
		mu.Lock()
		defer mu.Unlock()
		if c.Op != storagetest.OpNotify || c.Event == nil {
			return storagetest.Fault{}
		}
		told++
		switch drops[told%len(drops)] {
		case 0:
			return storagetest.Fault{Drop: true}
		case 1:
			return storagetest.Fault{Hold: time.Second}
		default:
			return storagetest.Fault{}
		}
	})
	here, err := broker.New(broker.WithHistory(store), keeping(100))
	require.NoError(t, err)
	there, err := broker.New(broker.WithHistory(deaf), keeping(100))
	require.NoError(t, err)
	sub, err := there.App("1").Subscribe(t.Context(), "room")
	require.NoError(t, err)
	app, last := here.App("1"), 0
	for i, step := range steps {
		if i%4 == 3 {
			time.Sleep(time.Duration(step%700) * time.Millisecond)
		}
		id := fmt.Sprint(step / 4 % max(last, 1))
		switch step % 4 {
		case 0, 1:
			if step%8 < 4 || last == 0 {
				_, err = app.Publish(t.Context(), "room", "message", fmt.Appendf(nil, "%d:", last), broker.WithID(fmt.Sprint(last)))
				last++
				break
			}
			fallthrough
		case 2:
			_, err = app.Append(t.Context(), "room", id, fmt.Appendf(nil, "+%d", i))
		case 3:
			if step%16 == 15 {
				_, err = app.Retract(t.Context(), "room", id)
			} else {
				_, err = app.Edit(t.Context(), "room", id, fmt.Appendf(nil, "edit %d", i))
			}
		}
		if err != nil && !errors.Is(err, storage.ErrRetracted) && !errors.Is(err, storage.ErrNoTarget) {
			return err
		}
	}
	time.Sleep(time.Minute) // in which all is found that nobody was told of
	synctest.Wait()
	require.NoError(t, here.Shutdown(t.Context()))
	require.NoError(t, there.Shutdown(t.Context()))
	f := &replica{text: make(map[string]string), at: make(map[string]uint64)}
	for ev, err := range sub.Events() {
		if errors.Is(err, broker.ErrShutdown) {
			break
		}
		if err == nil {
			err = f.take(ev)
		}
		if err != nil {
			return err
		}
	}
	page, err := store.Read(t.Context(), storage.ChannelID{App: "1", Name: "room"}, storage.ReadOptions{Current: true})
	if err != nil {
		return err
	}
	var want, got []string
	for _, ev := range page.Events {
		text := string(ev.Data)
		if ev.Retracted {
			text = "-"
		}
		want = append(want, ev.ID+" "+text)
	}
	for _, id := range f.order {
		got = append(got, id+" "+f.text[id])
	}
	if fmt.Sprint(want) != fmt.Sprint(got) {
		return fmt.Errorf("the subscriber knows %q, the history has %q", got, want)
	}
	return nil
}

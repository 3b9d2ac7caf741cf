package storagetest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/storage"
)

// stallChecks are those of a store that can be held up.
func stallChecks(h hooks) []check[*historyTest] {
	if h.stall == nil {
		return nil
	}
	return []check[*historyTest]{{"AppendsEndWithTheirContext", func(t *historyTest) { t.checkPromptAppends(h.stall) }}}
}

// checkPromptAppends has appends wait for a store that is held up, until their contexts
// end.
func (t *historyTest) checkPromptAppends(stall func(testing.TB, Store) (release func())) {
	if !t.caps.PromptAppends {
		return
	}
	const appends, apart, patience = 20, 5 * time.Millisecond, 30 * time.Second
	ch := t.channel("room")
	t.append(ch, "before", keep(100))
	release := stall(t.TB, t.store)
	returned := make(chan error, appends)
	for i := range appends {
		ctx, cancel := context.WithTimeout(t.ctx, time.Duration(i)*apart)
		defer cancel()
		go func() {
			_, err := t.store.Append(ctx, ch, event(ch, "held up"), keep(100))
			returned <- err
		}()
	}
	late := time.After(appends*apart + patience)
	for left := appends; left > 0; left-- {
		select {
		case err := <-returned:
			if err == nil {
				release()
			}
			require.ErrorIs(t, err, context.DeadlineExceeded)
		case <-late:
			release()
			for range left {
				<-returned
			}
			require.Failf(t, "not prompt", "%d appends did not return when their contexts had ended", left)
		}
	}
	release()
	out := t.append(ch, "after", keep(100))
	page := t.read(ch, storage.ReadOptions{})
	require.Equal(t, out.Position, page.Events[len(page.Events)-1].Position, "what was held up came before, or not at all")
	require.NoError(t, follow(page.Events[0].Position, page.Events[1:]))
}

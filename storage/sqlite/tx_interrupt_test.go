package sqlite

import (
	"context"
	"fmt"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// endsAfter is a context that has ended once it was asked so many times.
type endsAfter struct {
	context.Context
	looks int
	done  chan struct{}
}

func (c *endsAfter) Done() <-chan struct{} { return c.done }

func (c *endsAfter) Err() error {
	if c.looks == 0 {
		return context.Canceled
	}
	c.looks--
	return nil
}

// TestAppendTxIsWholeWhereverItsContextEnds ends the context at each place in turn. What
// was not appended then does not go out, although the transaction commits; what was, does.
func TestAppendTxIsWholeWhereverItsContextEnds(t *testing.T) {
	st := withTable(t)
	want := []string{}
	for n, ended := 0, true; ended; n++ {
		tx := begin(t, st)
		ctx := &endsAfter{Context: context.Background(), looks: n, done: make(chan struct{})}
		ids := []string{fmt.Sprint("a", n), fmt.Sprint("b", n), fmt.Sprint("c", n)}
		results, err := st.AppendTx(ctx, tx, prepared(ids[0]), prepared(ids[1]), prepared(ids[2]))
		ended = ctx.looks == 0
		committed := tx.Commit()
		switch {
		case err != nil:
			require.ErrorIs(t, err, context.Canceled, "after %d looks", n)
		default:
			require.NoError(t, committed, "after %d looks", n)
			require.Len(t, results, len(ids))
			want = append(want, ids...)
		}
		require.Equal(t, want, kept(t, st), "after %d looks", n)
	}
	require.NotEmpty(t, want)
}

// A commit that is done does not fail for the checkpoint behind it.
func TestACheckpointThatFailsFailsNoCommit(t *testing.T) {
	d := newDisk(t)
	st := withTable(t, onDisk(d))
	failed := 0
	d.fail(func(op diskOp) error {
		if op.file != "db" {
			return nil
		}
		failed++
		return syscall.ENOSPC
	})
	want := []string{}
	for i := range 3 {
		tx := begin(t, st)
		_, err := tx.ExecContext(t.Context(), `INSERT INTO note VALUES (hex(zeroblob(?)))`, checkpointPages*4096)
		require.NoError(t, err)
		want = append(want, fmt.Sprint(i))
		_, err = st.AppendTx(t.Context(), tx, prepared(want[i]))
		require.NoError(t, err)
		require.NoError(t, tx.Commit())
		require.Equal(t, want, kept(t, st))
	}
	require.NotZero(t, failed)
	d.heal()
}

package sqlite

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/storage"
)

// TestEveryFault has each thing that a store does to its disk fail once, or from then on
// until there is room again: what was acknowledged stays, what was refused is not there,
// and the store goes on.
func TestEveryFault(t *testing.T) {
	for name, lasting := range map[string]bool{"once": false, "until there is room": true} {
		t.Run(name, func(t *testing.T) {
			for n, hit := int64(1), true; hit; n++ {
				hit = faultAt(t, n, lasting)
			}
		})
	}
}

// faultAt has the nth change of the disk fail, and reports whether there were as many.
func faultAt(t *testing.T, n int64, lasting bool) bool {
	d := newDisk(t)
	path := filepath.Join(t.TempDir(), "carillon.db")
	st, err := Open(path, onDisk(d))
	require.NoError(t, err)
	defer func() { require.NoError(t, st.Close()) }()
	p := prepared("before")
	_, err = st.Append(t.Context(), room, p.Event, p.Options)
	require.NoError(t, err)
	acked, refused := []string{"before"}, []string{}

	var changes atomic.Int64
	d.fail(func(op diskOp) error {
		if done := changes.Add(1); op.file == "shm" || done < n || done > n && !lasting {
			return nil
		}
		return syscall.ENOSPC
	})
	failures := 0
	for i := range 3 {
		id := fmt.Sprint(i)
		var err error
		if i == 1 {
			err = publishPair(t.Context(), st, id)
		} else {
			p := prepared(id)
			_, err = st.Append(t.Context(), room, p.Event, p.Options)
		}
		switch {
		case err == nil:
			acked = append(acked, id)
			continue
		// What was refused in time was refused for sure; what was not may be there.
		case i != 1 && !errors.Is(err, storage.ErrOutcomeUnknown):
			refused = append(refused, id)
		}
		failures++
		require.ErrorIs(t, err, ErrFull, "change %d", n)
	}
	d.heal()
	p = prepared("after")
	_, err = st.Append(t.Context(), room, p.Event, p.Options)
	require.NoError(t, err, "change %d", n)
	acked = append(acked, "after")
	for range 2 {
		found := kept(t, st)
		require.Subset(t, found, acked, "change %d", n)
		for _, id := range refused {
			require.NotContains(t, found, id, "change %d", n)
		}
		require.Equal(t, "after", found[len(found)-1], "change %d", n)
		require.NoError(t, st.Close())
		st, err = Open(path)
		require.NoError(t, err)
	}
	hit := changes.Load() >= n
	require.True(t, !hit || failures > 0, "change %d failed, and nobody was told", n)
	return hit
}

package sqlite

import (
	"context"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/storagetest"
	"github.com/carillon-rt/carillon/storage/storagetest/linearizability"
)

// several are stores on one file, of which every call takes the next: as if each were
// of another process, and none could trust what it remembers.
type several struct {
	stores []*Store
	n      atomic.Uint64
}

func openSeveral(t testing.TB, opts ...Option) *several {
	path := filepath.Join(t.TempDir(), "carillon.db")
	s := &several{}
	for range 3 {
		s.stores = append(s.stores, openFile(t, path, opts...))
	}
	return s
}

func (s *several) next() *Store { return s.stores[s.n.Add(1)%uint64(len(s.stores))] }

func (s *several) Append(ctx context.Context, ch storage.ChannelID, ev *storage.Event, opts storage.AppendOptions) (storage.Appended, error) {
	return s.next().Append(ctx, ch, ev, opts)
}

func (s *several) AppendBatch(ctx context.Context, batch []storage.AppendRequest) []storage.AppendResult {
	return s.next().AppendBatch(ctx, batch)
}

func (s *several) Read(ctx context.Context, ch storage.ChannelID, opts storage.ReadOptions) (storage.Page, error) {
	return s.next().Read(ctx, ch, opts)
}

func (s *several) Latest(ctx context.Context, channels []storage.ChannelID) ([]storage.Position, error) {
	return s.next().Latest(ctx, channels)
}

func (s *several) Delete(ctx context.Context, ch storage.ChannelID) error {
	return s.next().Delete(ctx, ch)
}

func (s *several) Watch(ctx context.Context, notify func(storage.Commit)) error {
	return s.stores[0].Watch(ctx, notify)
}

func (s *several) Capabilities() storage.Capabilities { return s.stores[0].Capabilities() }

func TestSeveralStoresOnOneFile(t *testing.T) {
	var c clock
	storagetest.RunHistory(t, func(t *testing.T) storage.History { return openSeveral(t, onClock(&c)) }, storagetest.WithAdvance(c.advance))
}

func TestSeveralAreLinearizable(t *testing.T) {
	linearizability.History(t, openSeveral(t))
}

// Each opening begins an epoch, for those who have the file open already as well, and
// whoever knows a position goes on.
func TestOpeningBeginsAnEpochForAll(t *testing.T) {
	first := open(t)
	before := appendTo(t, first, room, "1", keep(10))
	second := openFile(t, first.path)
	latest, err := storage.LatestOf(t.Context(), first, room)
	require.NoError(t, err)
	require.Zero(t, latest.Offset)
	require.True(t, latest.After(before))
	next := appendTo(t, first, room, "2", keep(10))
	require.Equal(t, storage.Position{Epoch: latest.Epoch, Offset: 1}, next)
	page, err := second.Read(t.Context(), room, storage.ReadOptions{From: before})
	require.NoError(t, err)
	require.Len(t, page.Events, 1)
	require.Equal(t, before, page.Events[0].Prev)
}

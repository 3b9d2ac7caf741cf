package sqlite

import (
	"context"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

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

func (s *several) Join(ctx context.Context, ch storage.ChannelID, conn storage.Connection, m storage.Member, opts storage.JoinOptions) (storage.Joined, error) {
	return s.next().Join(ctx, ch, conn, m, opts)
}

func (s *several) Leave(ctx context.Context, ch storage.ChannelID, conn storage.Connection) (storage.Departure, error) {
	return s.next().Leave(ctx, ch, conn)
}

func (s *several) Members(ctx context.Context, ch storage.ChannelID) (storage.Roster, error) {
	return s.next().Members(ctx, ch)
}

func (s *several) Changes(ctx context.Context, ch storage.ChannelID, since storage.Position) ([]storage.PresenceChange, error) {
	return s.next().Changes(ctx, ch, since)
}

func (s *several) Counts(ctx context.Context, channels []storage.ChannelID) ([]storage.Count, error) {
	return s.next().Counts(ctx, channels)
}

func (s *several) AreMembers(ctx context.Context, ch storage.ChannelID, userIDs []string) ([]bool, error) {
	return s.next().AreMembers(ctx, ch, userIDs)
}

func (s *several) LastSeen(ctx context.Context, ch storage.ChannelID, userIDs []string) ([]time.Time, error) {
	return s.next().LastSeen(ctx, ch, userIDs)
}

func (s *several) Renew(ctx context.Context, node string, lease time.Duration) (bool, error) {
	return s.next().Renew(ctx, node, lease)
}

func (s *several) Expire(ctx context.Context) ([]storage.Departure, error) {
	return s.next().Expire(ctx)
}

func (s *several) WatchPresence(ctx context.Context, notify func(storage.PresenceChange)) error {
	return s.stores[0].WatchPresence(ctx, notify)
}

func TestSeveralStoresOnOneFile(t *testing.T) {
	var c clock
	storagetest.Run(t, func(t *testing.T) storagetest.Store { return openSeveral(t, onClock(&c)) }, storagetest.WithAdvance(c.advance))
}

func TestSeveralAreLinearizable(t *testing.T) {
	linearizability.History(t, openSeveral(t))
	linearizability.Presence(t, openSeveral(t))
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

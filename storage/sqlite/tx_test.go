package sqlite

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/storage"
)

func TestDB(t *testing.T) {
	st := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	told, ended := make(chan storage.Commit, 100), make(chan error)
	go func() { ended <- st.Watch(ctx, func(c storage.Commit) { told <- c }) }()
	require.Equal(t, storage.Commit{}, <-told)

	_, err := st.DB().ExecContext(ctx, `CREATE TABLE note (text TEXT)`)
	require.NoError(t, err)
	require.Equal(t, storage.Commit{}, <-told, "a commit through DB")
	ch := storage.ChannelID{App: "app", Name: "room"}
	out, err := st.Append(ctx, ch, &storage.Event{ID: "1", Name: "message"}, storage.AppendOptions{Retention: storage.Retention{Events: 1}})
	require.NoError(t, err)
	require.Equal(t, out.Position, (<-told).Latest)
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
}

package sqlite

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/storage"
)

// A store that is closed too early fails publishers, and keeps no broker from ending.
func TestAStoreThatIsClosedBeforeItsBroker(t *testing.T) {
	st := open(t)
	b, err := broker.New(broker.WithHistory(st), broker.WithPresence(st),
		broker.WithChannelRules(broker.ChannelRule{Pattern: "*", History: broker.Retention{Events: 10}}))
	require.NoError(t, err)
	app := b.App("app")
	_, err = app.Publish(t.Context(), "room", "message", []byte("x"))
	require.NoError(t, err)
	require.NoError(t, st.Close())
	_, err = app.Publish(t.Context(), "room", "message", []byte("y"))
	require.ErrorIs(t, err, ErrClosed)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_ = b.Shutdown(ctx)
	require.NoError(t, ctx.Err())
}

func TestWhereThereIsNoIndexClientsAreNotToldThePath(t *testing.T) {
	st := open(t)
	_, err := st.Search(t.Context(), storage.SearchQuery{App: room.App, Text: "x"})
	require.ErrorIs(t, err, errors.ErrUnsupported)
	assert.NotContains(t, err.Error(), st.path)
}

package pusher

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/transport"
	"github.com/carillon-rt/carillon/transport/memory"
)

// Update says that golden files are to be rewritten.
var Update = update

// Connect connects a client within the process.
func Connect(t testing.TB, open transport.Open, opts ...memory.Option) *memory.Client {
	t.Helper()
	c, err := memory.Connect(open, opts...)
	require.NoError(t, err)
	return c
}

// What a backend without SignChannel and SignUser may sign, valid or not.

func UncheckedChannelAuth(app *App, socketID, channel, channelData string) string {
	return app.Key + ":" + channelSignature(app, socketID, channel, channelData)
}

func UncheckedUserAuth(app *App, socketID, userData string) string {
	return app.Key + ":" + userSignature(app, socketID, userData)
}

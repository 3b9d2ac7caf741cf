package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/brokertest"
)

// A page may say that it is looked at before the hook tells that it has connected.
func TestAPageIsLookedAtBeforeItsConnectionIsTold(t *testing.T) {
	kit := brokertest.New(t)
	client := kit.Connect(t)
	session := kit.Broker.Session(client.SocketID())
	require.NotNil(t, session)
	l := login{user: user{ID: 7}}
	var cs connections
	cs.look(l, session, true)
	cs.add(l, session)
	assert.True(t, cs.lookedAt(7))
	cs.look(l, session, false)
	assert.False(t, cs.lookedAt(7))

	client.Close()
	<-session.Context().Done()
	cs.remove(session)
	cs.look(l, session, true)
	assert.False(t, cs.any(), "what has gone is not noted again")
}

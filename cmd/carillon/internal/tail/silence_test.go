package tail

import (
	"context"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/cmd/carillon/internal/servertest"
)

// within runs a tail of the channel "a" against a server in a bubble of its own time, and
// hands each line to check until that returns false. It returns what the tail was in the
// end.
func within(t *testing.T, server http.Handler, check func(line, time.Duration) bool) (ended *tail) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		network := servertest.NewPipes()
		stop := network.Serve(server)
		defer stop()
		app := servertest.App(t, "http://127.0.0.1:6001")
		app.Dial = network.Dial
		tl := start(t, app, "a")
		began := time.Now()
		for check(tl.next(), time.Since(began)) {
		}
		tl.stop()
		require.NoError(t, <-tl.ended)
		ended = tl.tail
	})
	return ended
}

func TestServerThatNeverAnswers(t *testing.T) {
	never := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	})
	tries := 0
	tl := within(t, never, func(l line, after time.Duration) bool {
		tries++
		assert.Equal(t, kindDisconnected, l.Type)
		assert.Contains(t, l.Text, "no connection within 10s")
		assert.Equal(t, time.Duration(tries)*10*time.Second, after, "the pauses end at once here")
		return tries < 4
	})
	assert.GreaterOrEqual(t, tl.failures, 3, "to wait for an answer is no connection that lasted")
}

func speaking(speak func(*servertest.Peer)) http.Handler {
	return servertest.Speaking(context.Background(), speak)
}

func TestServerThatNeverGreets(t *testing.T) {
	within(t, speaking(func(p *servertest.Peer) { p.Hear() }), func(l line, after time.Duration) bool {
		assert.Contains(t, l.Text, "no connection within 10s")
		assert.Equal(t, 10*time.Second, after)
		return false
	})
}

func TestSubscriptionThatIsNeverAnswered(t *testing.T) {
	mute := func(p *servertest.Peer) {
		p.Welcome()
		for p.Hear() != "" {
		}
	}
	within(t, speaking(mute), func(l line, after time.Duration) bool {
		if l.Type == kindConnected {
			return true
		}
		assert.Contains(t, l.Text, "did not answer every subscription within 15s")
		assert.Equal(t, answerTimeout, after)
		return false
	})
}

// TestSilence is a server that answers the first ping of its client and no other.
func TestSilence(t *testing.T) {
	heard := make(chan string, 10)
	server := speaking(func(p *servertest.Peer) {
		p.Welcome()
		p.Hear()
		p.Say(succeeded)
		p.Say(`{"event":"pusher:ping","data":"{}"}`)
		for i := 0; ; i++ {
			m := p.Hear()
			if m == "" {
				return
			}
			if heard <- m; i == 1 {
				p.Say(`{"event":"pusher:pong","data":"{}"}`)
			}
		}
	})
	within(t, server, func(l line, after time.Duration) bool {
		if l.Type != kindDisconnected {
			return true
		}
		assert.Contains(t, l.Text, "did not answer a ping within 30s")
		// Heard from at the beginning, pinged, heard from again, pinged again.
		assert.Equal(t, (120+120+30+120+30)*time.Second, after)
		for _, want := range []string{"pong", "ping", "ping"} {
			assert.Equal(t, `{"data":{},"event":"pusher:`+want+`"}`, <-heard)
		}
		return false
	})
}

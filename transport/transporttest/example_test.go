package transporttest_test

import (
	"testing"

	"github.com/carillon-rt/carillon/transport"
	"github.com/carillon-rt/carillon/transport/memory"
	"github.com/carillon-rt/carillon/transport/transporttest"
)

// harness is what a transport with a server would start it in.
type harness struct {
	config  transporttest.Config
	clients []*memory.Client
}

// Connect implements transporttest.Harness.
func (h *harness) Connect(t testing.TB, open transport.Open) transporttest.Client {
	c, err := memory.Connect(open, memory.WithQueueLimits(h.config.QueueMessages, h.config.QueueBytes))
	if err != nil {
		t.Fatal(err)
	}
	h.clients = append(h.clients, c)
	return c
}

// Close implements transporttest.Harness.
func (h *harness) Close() {
	for _, c := range h.clients {
		c.Close(transport.StatusAbnormal, "")
	}
}

// The harness of a transport starts what it needs, connects clients of it, and
// ends it all.
func ExampleRun() {
	_ = func(t *testing.T) { // func TestTransport(t *testing.T)
		transporttest.Run(t, func(_ testing.TB, c transporttest.Config) transporttest.Harness {
			return &harness{config: c}
		})
	}
}

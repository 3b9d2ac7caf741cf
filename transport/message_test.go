package transport_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/carillon-rt/carillon/internal/alloctest"
	"github.com/carillon-rt/carillon/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAMessageKeepsOneResultForEachFormat(t *testing.T) {
	var encoded atomic.Int64
	formats := make([]*transport.Format, 3)
	for i := range formats {
		formats[i] = transport.NewFormat(fmt.Sprint("format ", i), func(payload []byte) []byte {
			encoded.Add(1)
			return fmt.Appendf(nil, "%d:%s", i, payload)
		})
	}
	m := transport.NewMessage([]byte("hello"))
	first := make([]atomic.Pointer[byte], len(formats))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i, f := range formats {
				got := m.In(f)
				assert.Equal(t, fmt.Sprintf("%d:hello", i), string(got))
				if !first[i].CompareAndSwap(nil, &got[0]) {
					assert.Same(t, first[i].Load(), &got[0], "all callers share one result")
				}
			}
		})
	}
	all.Wait()
	before := encoded.Load()
	for _, f := range formats {
		m.In(f)
	}
	assert.Equal(t, before, encoded.Load(), "nothing is encoded again")
	assert.Equal(t, "hello", string(m.Payload()))
	assert.Equal(t, "format 0", formats[0].String())
	assert.Zero(t, alloctest.PerRun(100, func() { m.In(formats[2]) }))
}

func TestQueueErrorNamesItsBounds(t *testing.T) {
	var err error = &transport.QueueError{Messages: 3, MessageLimit: 3, Bytes: 10, ByteLimit: 100}
	require.ErrorIs(t, err, transport.ErrSlow)
	var full *transport.QueueError
	require.True(t, errors.As(fmt.Errorf("send: %w", err), &full))
	assert.Equal(t, "connection's queue is full: 3 messages of at most 3, 10 bytes of at most 100", err.Error())
}

func Example() {
	// A format is made once, a message for each event; connections share both.
	lines := transport.NewFormat("line", func(payload []byte) []byte {
		return append(append([]byte(nil), payload...), '\n')
	})
	m := transport.NewMessage([]byte(`{"event":"message"}`))
	fmt.Print(string(m.In(lines)))
	// Output: {"event":"message"}
}

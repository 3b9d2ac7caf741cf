package pusher

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/memory"
	"github.com/carillon-rt/carillon/storage/storagetest"
)

// A feed that asks for names has the names of events and their data as it is, lines and
// all, and an id to go on from.
func TestNamedFeed(t *testing.T) {
	f := newFeedTest(t, keepAll)
	params := url.Values{"channels": {"room-a"}, "named": {"1"}}
	r := f.open(t, params, "")
	publish := func(name, data string) {
		_, err := f.broker.App("1").Publish(t.Context(), "room-a", name, []byte(data))
		require.NoError(t, err)
	}
	publish("fragment", "<p>\n  <b>hi</b>\r\n</p>")
	block := ""
	for range 6 {
		line, err := r.text.ReadString('\n')
		require.NoError(t, err)
		if line[0] != ':' && line != "\n" {
			block += line
		}
	}
	assert.Regexp(t, `^id: room-a=[^\n]*:0\nid: room-a=[^\n]*:1\nevent: fragment\ndata: <p>\n$`, block)
	for range 3 {
		_, err := r.text.ReadString('\n')
		require.NoError(t, err)
	}
	publish("empty", "")
	line, err := r.text.ReadString('\n')
	require.NoError(t, err)
	assert.Contains(t, line, "id: ")
	for _, want := range []string{"event: empty\n", "data:\n", "\n"} {
		line, err := r.text.ReadString('\n')
		require.NoError(t, err)
		assert.Equal(t, want, line)
	}
	require.NoError(t, r.body.Body.Close())

	publish("other", "missed")
	again := f.open(t, params, line[len("id: "):len(line)-1])
	event, data := again.next()
	assert.Equal(t, "other", event)
	assert.Equal(t, "missed", data)

	// An event may be called gap; what tells of one may not.
	publish("gap", "no gap")
	event, data = again.next()
	assert.Equal(t, "gap", event)
	assert.Equal(t, "no gap", data)
	for range 9 {
		publish("x", "x")
	}
	third := f.open(t, params, again.last)
	event, data = third.next()
	assert.Equal(t, "pusher:gap", event)
	assert.Equal(t, `{"channel":"room-a"}`, data)

	resp, err := f.http.Client().Get(f.http.URL + "/sse/app/key?channels=room-a&named=yes")
	require.NoError(t, err)
	defer resp.Body.Close()
	assert.Equal(t, http.StatusBadRequest, resp.StatusCode)
}

// Where a feed left off is known to every store, over restarts too.
func TestFeedsResumeOnAllStores(t *testing.T) {
	holes, contiguous := storagetest.NewEngine(true), storagetest.NewEngine(false)
	for name, store := range map[string]storage.History{"memory": memory.New(), "holes": holes, "contiguous": contiguous} {
		t.Run(name, func(t *testing.T) {
			f := newFeedTest(t, broker.WithChannelRules(broker.ChannelRule{Pattern: "*", History: broker.Retention{Events: 50}}), broker.WithHistory(store))
			restart := func() {
				if e, ok := store.(*storagetest.Engine); ok {
					e.Restart()
				}
			}
			n := 0
			publish := func(channel string) {
				n++
				f.publish(t, channel, fmt.Sprint(n))
			}
			params := url.Values{"channels": {"a,b"}, "named": {"1"}}
			last := ""
			for round := range 4 {
				r := f.open(t, params, last)
				if round > 0 {
					for _, want := range []int{n - 2, n} { // of a, then of b
						_, data := r.next()
						assert.Equal(t, fmt.Sprint(want), data)
						if want == n-2 {
							_, data = r.next()
							assert.Equal(t, fmt.Sprint(n-1), data)
						}
					}
				}
				publish("a")
				_, data := r.next()
				assert.Equal(t, fmt.Sprint(n), data)
				restart()
				publish("b")
				_, data = r.next()
				assert.Equal(t, fmt.Sprint(n), data)
				last = r.last
				require.NoError(t, r.body.Body.Close())
				publish("a")
				restart()
				publish("a")
				publish("b")
				restart()
			}
		})
	}
}

package brokertest_test

import (
	"testing"

	"github.com/carillon-rt/carillon/brokertest"
)

func Example() {
	// In a test file this is func TestChat(t *testing.T).
	_ = func(t *testing.T) {
		kit := brokertest.New(t)
		ann := kit.Connect(t)
		ann.SubscribeAs("presence-room", "ann", "")
		if _, err := kit.App.Publish(t.Context(), "presence-room", "message", []byte(`{"text":"hello"}`)); err != nil {
			t.Fatal(err)
		}
		ann.Expect("message", "presence-room")
	}
}

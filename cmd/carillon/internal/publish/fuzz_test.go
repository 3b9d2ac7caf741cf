package publish

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
)

func FuzzLine(f *testing.F) {
	for _, seed := range []string{`{"channel":"a","event":"e","data":{"b": 1}}`, `{"type":"gap"}`, `{"channel":"a","name":"e","data":"\"text\""}`, `{"channel":"a","event":"e","data":null}`, "[]"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := parseLine(text)
		if err != nil || e == nil {
			return
		}
		assert.NotEmpty(t, e.Channel)
		assert.NotEmpty(t, e.Name)
		// What tail -json prints of it is the same event again.
		line, err := json.Marshal(map[string]string{"channel": e.Channel, "event": e.Name, "data": e.Data})
		assert.NoError(t, err)
		again, err := parseLine(line)
		assert.NoError(t, err)
		assert.Equal(t, e.Data, again.Data)
	})
}

package pusher

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func FuzzCall(f *testing.F) {
	for _, seed := range []string{
		`{"path":"/app/key?protocol=7&client=js"}`, `{"path":"/realtime/app/key"}`, `{"path":"/app/a/b"}`, `{"path":""}`, `{}`, `[]`, `"`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		key, _, err := parseCall(data)
		if err != nil {
			require.Equal(t, 4005, err.code)
			require.Empty(t, key)
			return
		}
		require.NotEmpty(t, key)
		require.NotContains(t, key, "/")
		require.True(t, json.Valid(data))
	})
}

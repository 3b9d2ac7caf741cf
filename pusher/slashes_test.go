package pusher_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/pusher"
)

// TestDoubledSlashes is about pusher-js with wsPath and httpPath "/", "/realtime/"
// or worse, on every route.
func TestDoubledSlashes(t *testing.T) {
	for name, mount := range map[string]func(h http.Handler) http.Handler{
		"alone": func(h http.Handler) http.Handler { return h },
		"in a mux": func(h http.Handler) http.Handler {
			mux := http.NewServeMux()
			mux.Handle("/", h)
			return pusher.MergeSlashes(mux)
		},
		"in a mux at a prefix": func(h http.Handler) http.Handler {
			mux := http.NewServeMux()
			mux.Handle("/realtime/", h)
			mux.Handle("/app/", h)
			mux.Handle("/apps/", h)
			mux.Handle("/sse/", h)
			mux.Handle("/", h)
			return pusher.MergeSlashes(mux)
		},
		"stripped": func(h http.Handler) http.Handler {
			mux := http.NewServeMux()
			mux.Handle("/realtime/", http.StripPrefix("/realtime", h))
			mux.Handle("/", h)
			return pusher.MergeSlashes(mux)
		},
	} {
		for _, prefix := range []string{"", "/", "/realtime", "/realtime/", "//realtime//"} {
			t.Run(name+" at "+prefix, func(t *testing.T) {
				b, err := broker.New(broker.WithDrainWindow(0))
				require.NoError(t, err)
				apps, err := pusher.NewApps(pusher.App{ID: "1", Key: "key", Secret: "secret"})
				require.NoError(t, err)
				srv := httptest.NewServer(mount(newHandler(t, b, apps)))
				defer srv.Close()
				defer func() { require.NoError(t, b.Shutdown(context.Background())) }()

				ws, _, err := websocket.Dial(t.Context(), srv.URL+prefix+"/app/key?protocol=7", nil)
				require.NoError(t, err)
				assert.Contains(t, read(t, ws), "connection_established")
				require.NoError(t, ws.Close(websocket.StatusNormalClosure, ""))

				client := srv.Client()
				client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
				ask := func(method, path string) int {
					r, err := http.NewRequestWithContext(t.Context(), method, srv.URL+prefix+path, nil)
					require.NoError(t, err)
					resp, err := client.Do(r)
					require.NoError(t, err)
					require.NoError(t, resp.Body.Close())
					return resp.StatusCode
				}
				assert.Equal(t, 204, ask("OPTIONS", "/app/key/0/abcdefgh/xhr"))
				assert.Equal(t, 204, ask("OPTIONS", "/000/abcdefgh/xhr"))
				assert.Equal(t, 200, ask("GET", "/info"))
				assert.Equal(t, 200, ask("GET", "/iframe.html"))
				assert.Equal(t, 204, ask("OPTIONS", "/sse/app/key"))
				assert.Equal(t, 426, ask("GET", "/app/key"))
				for _, signed := range []string{"/apps/1/channels", prefix + "/apps/1/channels"} {
					assert.Equal(t, 200, ask("GET", "/apps/1/channels?"+signQuery("GET", signed)), signed)
				}
			})
		}
	}
}

// TestMergeSlashesLeavesTheAPIsNamesAlone keeps "a//b" from becoming another user.
func TestMergeSlashesLeavesTheAPIsNamesAlone(t *testing.T) {
	for path, want := range map[string]string{
		"/a/b": "/a/b", "//": "/", "///a//b/": "/a/b/", "": "", "//app/key": "/app/key",
		"//rt//apps/1/users/a//b/terminate_connections": "/rt/apps/1/users/a//b/terminate_connections",
		"//a%2F%2Fb": "/a%2F%2Fb",
	} {
		var got string
		r := httptest.NewRequest("GET", "/", nil)
		r.URL.Path, r.URL.RawPath = path, path
		before := *r.URL
		pusher.MergeSlashes(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.URL.RawPath })).ServeHTTP(nil, r)
		assert.Equal(t, want, got)
		assert.Equal(t, before, *r.URL, "the caller's request is its own")
	}
}

func signQuery(method, path string) string {
	query := "auth_key=key&auth_timestamp=" + strconv.FormatInt(time.Now().Unix(), 10) + "&auth_version=1.0"
	mac := hmac.New(sha256.New, []byte("secret"))
	mac.Write([]byte(method + "\n" + path + "\n" + query))
	return query + "&auth_signature=" + hex.EncodeToString(mac.Sum(nil))
}

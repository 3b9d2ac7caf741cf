package pusher_test

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/brokertest"
)

// sdkRequests are the requests in a file of testdata/sdk, whose README says where they are
// from, and the time at which they were signed.
func sdkRequests(t *testing.T, file string) (requests [][]byte, signed time.Time) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata/sdk", file))
	require.NoError(t, err)
	requests = bytes.Split(text, []byte("\r\n---\r\n"))
	_, rest, found := strings.Cut(string(requests[0]), "auth_timestamp=")
	require.True(t, found)
	seconds, err := strconv.ParseInt(rest[:10], 10, 64)
	require.NoError(t, err)
	return requests, time.Unix(seconds, 0)
}

// play hands a recorded request to the kit's handler, as net/http would.
func play(t *testing.T, kit *brokertest.Kit, raw []byte) (status int, body string) {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
	require.NoError(t, err)
	r.RemoteAddr = "127.0.0.1:50000"
	w := httptest.NewRecorder()
	kit.Handler.ServeHTTP(w, r)
	got, err := io.ReadAll(w.Result().Body)
	require.NoError(t, err)
	return w.Code, string(got)
}

// TestRequestsOfSDKs plays what the SDKs for PHP, Python and Ruby send: their order of
// parameters, what they sign and what they escape, and how each writes JSON.
func TestRequestsOfSDKs(t *testing.T) {
	const text = "grüße 🎶 a/b \"q\" <&> \u2028"
	counts := `{"channels":{"presence-room-7":{"user_count":1,"subscription_count":1},"room-7":{"subscription_count":1}}}`
	answers := []string{"{}", counts, "{}",
		`{"channels":{"presence-room-7":{"user_count":1}}}`,
		`{"occupied":true,"user_count":1,"subscription_count":1}`,
		`{"users":[{"id":"7"}]}`,
		"{}"}
	for _, file := range []string{"php.http", "python.http", "ruby.http"} {
		t.Run(file, func(t *testing.T) {
			requests, signed := sdkRequests(t, file)
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(time.Until(signed))
				kit := brokertest.New(t)
				member, page := kit.Connect(t), kit.Connect(t)
				member.SignIn("7")
				member.Subscribe("presence-room-7")
				page.Subscribe("room-7")
				for i, raw := range requests {
					status, body := play(t, kit, raw)
					require.Equal(t, http.StatusOK, status, "%s\n%s", body, raw)
					want := answers[i]
					if i == 1 && !bytes.Contains(raw, []byte("info")) {
						want = "{}" // the SDK for Python cannot ask
					}
					assert.JSONEq(t, want, body, "%s", raw)
				}
				var message struct{ Message struct{ Text string } }
				member.Expect("new-message", "presence-room-7").Decode(t, &message)
				assert.Equal(t, text, message.Message.Text)
				assert.JSONEq(t, `{"user":7}`, member.Expect("new-activity", "presence-room-7").Data)
				member.Expect("new-message", "presence-room-7")
				page.Expect("new-activity", "room-7")
				assert.JSONEq(t, `{"status":"away"}`, page.Expect("user-status-changed", "room-7").Data)
				if len(requests) == len(answers) {
					assert.Equal(t, 4009, member.CloseCode(), "the user's connections are terminated")
				}
				page.ExpectNothing()
			})
		})
	}
}

// TestRequestsOfSDKsThatWereChanged plays them with other bodies, and later.
func TestRequestsOfSDKsThatWereChanged(t *testing.T) {
	for _, file := range []string{"php.http", "python.http", "ruby.http"} {
		requests, signed := sdkRequests(t, file)
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(time.Until(signed))
			kit := brokertest.New(t)
			changed := bytes.Replace(requests[0], []byte("new-message"), []byte("old-message"), 1)
			status, body := play(t, kit, changed)
			assert.Equal(t, http.StatusUnauthorized, status, "%s: %s", file, body)
			time.Sleep(11 * time.Minute)
			status, body = play(t, kit, requests[0])
			assert.Equal(t, http.StatusUnauthorized, status, "%s: %s", file, body)
			assert.Contains(t, body, "auth_timestamp")
		})
	}
}

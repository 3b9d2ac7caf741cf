package responsewriter

import (
	"bufio"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// plain can do nothing but write.
type plain struct{ http.ResponseWriter }

// wrapped is what middleware makes.
type wrapped struct{ http.ResponseWriter }

func (w wrapped) Unwrap() http.ResponseWriter { return w.ResponseWriter }

type flusher struct{ http.ResponseWriter }

func (flusher) FlushError() error { return nil }

type hijacker struct{ http.ResponseWriter }

func (hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) { return nil, nil, nil }

func TestWritersAreLookedThrough(t *testing.T) {
	recorder := httptest.NewRecorder()
	for name, tc := range map[string]struct {
		w              http.ResponseWriter
		flush, hijacks bool
	}{
		"recorder":              {recorder, true, false},
		"hidden":                {plain{recorder}, false, false},
		"wrapped":               {wrapped{wrapped{recorder}}, true, false},
		"wrapped and hidden":    {wrapped{plain{recorder}}, false, false},
		"flush with an error":   {wrapped{flusher{plain{recorder}}}, true, false},
		"hijacker":              {wrapped{hijacker{plain{recorder}}}, false, true},
		"flusher of a hijacker": {flusher{hijacker{recorder}}, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, tc.flush, CanFlush(tc.w))
			assert.Equal(t, tc.hijacks, CanHijack(tc.w))
		})
	}
}

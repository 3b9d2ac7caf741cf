package pusher

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/ratelimit"
	"github.com/carillon-rt/carillon/storage"
)

// TestAnswers holds what the wire says of every error, whichever way it goes.
func TestAnswers(t *testing.T) {
	limited := &ratelimit.LimitError{Rule: "r", RetryAfter: 1500 * time.Millisecond}
	never := &ratelimit.LimitError{Rule: "r", RetryAfter: ratelimit.Never}
	for name, c := range map[string]struct {
		err    error
		code   int
		event  int
		status int
		kind   string
		retry  string
		text   string
	}{
		"unknown app":      {ErrUnknownApp, 4001, 0, 404, "InvalidRequest", "", "app does not exist"},
		"signature":        {fmt.Errorf("%w: auth is missing", ErrSignature), 4009, 0, 401, "AuthError", "", "invalid signature: auth is missing"},
		"timestamp":        {ErrTimestamp, 4009, 0, 401, "AuthError", "", "timestamp expired"},
		"quota":            {broker.ErrQuota, 4004, 0, 503, "LimitReached", "10", "quota is used up"},
		"shutdown":         {broker.ErrShutdown, 4200, 0, 503, "ServerError", "1", "shut"},
		"channels":         {broker.ErrChannelLimit, 4100, 0, 403, "LimitReached", "", ""},
		"members":          {storage.ErrMemberLimit, 4100, 0, 403, "LimitReached", "", "presence channel is full"},
		"rate":             {fmt.Errorf("x: %w", limited), 4100, 4301, 429, "LimitReached", "2", "retry in"},
		"soon":             {&ratelimit.LimitError{Rule: "r", RetryAfter: time.Millisecond}, 4100, 4301, 429, "LimitReached", "1", ""},
		"over every rate":  {never, 4100, 4301, 413, "LimitReached", "", "ever"},
		"key reused":       {storage.ErrKeyReused, 4009, 0, 422, "InvalidRequest", "", ""},
		"key in flight":    {storage.ErrKeyInFlight, 4100, 0, 409, "InvalidRequest", "1", ""},
		"no target":        {&storage.TargetError{Target: "x", Err: storage.ErrNoTarget}, 4009, 0, 404, "InvalidRequest", "", `no event to amend: "x"`},
		"retracted":        {&storage.TargetError{Target: "x", Err: storage.ErrRetracted}, 4009, 0, 410, "InvalidRequest", "", "retracted"},
		"stale":            {&storage.StaleVersionError{Target: "x", Version: 1, Current: 2}, 4009, 0, 409, "InvalidRequest", "", "has version 2, asked for 1"},
		"not kept":         {broker.ErrNotKept, 4009, 0, 400, "InvalidRequest", "", "keeps no history"},
		"no cipher":        {broker.ErrNoCipher, 4009, 0, 400, "InvalidRequest", "", "no cipher"},
		"unsupported":      {&broker.UnsupportedError{Operation: "history search", Store: "x"}, 4009, 0, 501, "InvalidRequest", "", "history search"},
		"gap":              {storage.ErrGap, 4100, 0, 404, "InvalidRequest", "", ""},
		"field":            {&broker.FieldError{Field: "name", Problem: "is empty"}, 4009, 0, 400, "InvalidRequest", "", "name is empty"},
		"data":             {&broker.FieldError{Field: "data", Problem: "is too large", Limit: 5, Got: 6}, 4009, 0, 413, "InvalidRequest", "", "content of this event exceeds the allowed maximum (5 bytes)"},
		"unauthorized":     {broker.ErrUnauthorized, 4009, 0, 401, "AuthError", "", "not authorized"},
		"signed in":        {broker.ErrSignedIn, 4009, 0, 403, "AuthError", "", "signed in"},
		"not subscribed":   {broker.ErrNotSubscribed, 4009, 0, 403, "AuthError", "", "not subscribed"},
		"refused":          {broker.ErrRefused, 4009, 0, 403, "AuthError", "", "refused"},
		"hook":             {fmt.Errorf("x: %w", broker.Refuse(402, "pay first")), 4009, 0, 402, "AuthError", "", "pay first"},
		"hook, no status":  {broker.Refuse(0, "no"), 4009, 0, 403, "AuthError", "", "no"},
		"hook, odd status": {broker.Refuse(200, "no"), 4009, 0, 403, "AuthError", "", "no"},
		"hook, later":      {&broker.RefusedError{Message: "no", RetryAfter: time.Minute}, 4100, 0, 403, "AuthError", "60", "no"},
		"hook, too many":   {broker.Refuse(429, "no"), 4100, 0, 429, "AuthError", "", "no"},
		"hook, broken":     {broker.Refuse(500, "no"), 4100, 0, 500, "AuthError", "", "no"},
		"own":              {methodNotAllowed("PUT", "GET"), 4100, 0, 405, "ServerError", "", "method PUT is not allowed: use GET"},
		"program's":        {errors.New("dial tcp 10.0.0.5:5432"), 4100, 0, 500, "ServerError", "", "internal error"},
		"context":          {context.DeadlineExceeded, 4100, 0, 500, "ServerError", "", "internal error"},
	} {
		t.Run(name, func(t *testing.T) {
			a := answerTo(c.err)
			assert.Equal(t, c.code, a.code)
			assert.Equal(t, c.event, a.event)
			assert.Equal(t, c.status, a.status)
			assert.Equal(t, c.kind, a.kind)
			assert.Contains(t, a.text, c.text)
			w := httptest.NewRecorder()
			a.writeHeaders(w.Header())
			assert.Equal(t, c.retry, w.Header().Get("Retry-After"))
		})
	}
	for _, row := range answers {
		assert.NotEmpty(t, row.kind, row.err)
		assert.NotZero(t, row.code*row.status, row.err)
	}
}

package console

import (
	"context"
	"errors"
	"strings"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/ratelimit"
	"github.com/carillon-rt/carillon/storage"
)

// Why something was refused, in words of the API.
const (
	byLimit     = "refused-limit"
	byHook      = "refused-hook"
	bySignature = "refused-signature"
	byInvalid   = "refused-invalid"
	byOther     = "refused-other"
)

// reasonOf says what kind of refusal an error is, and a little more for those who count
// them: the name of the limit, or of the field.
func reasonOf(err error) (reason, detail string) {
	var limit *ratelimit.LimitError
	var field *broker.FieldError
	var refused *broker.RefusedError
	switch {
	case errors.As(err, &limit):
		return byLimit, "limit: " + cut(limit.Rule, 64)
	case errors.Is(err, broker.ErrQuota):
		return byLimit, "limit: connections of the app"
	case errors.Is(err, broker.ErrChannelLimit):
		return byLimit, "limit: channels of the connection"
	case errors.Is(err, storage.ErrMemberLimit):
		return byLimit, "limit: members of the channel"
	case errors.Is(err, broker.ErrExpired):
		return bySignature, "authorization has expired"
	case errors.Is(err, broker.ErrUnauthorized):
		return bySignature, "not authorized"
	case errors.Is(err, broker.ErrRevoked):
		return bySignature, "authorization was revoked"
	case errors.As(err, &field):
		return byInvalid, "invalid " + cut(field.Field, 64)
	case errors.Is(err, broker.ErrInvalid):
		return byInvalid, "invalid"
	case errors.As(err, &refused):
		return byHook, "refused by the program"
	case errors.Is(err, broker.ErrRefused):
		return byHook, "refused"
	case errors.Is(err, broker.ErrSubscribed):
		return byOther, "subscribed already"
	case errors.Is(err, broker.ErrNotSubscribed):
		return byOther, "not subscribed"
	case errors.Is(err, broker.ErrShutdown), errors.Is(err, broker.ErrClosed):
		return byOther, "shut down or closed"
	case errors.Is(err, storage.ErrKeyReused):
		return byOther, "idempotency key reused"
	case errors.Is(err, storage.ErrKeyInFlight):
		return byOther, "idempotency key in flight"
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return byOther, "given up"
	case errors.Is(err, storage.ErrOutcomeUnknown):
		return byOther, "store: outcome unknown"
	}
	return byOther, "other"
}

// isAnswer reports whether an error of a store is no failure: it says how things are.
func isAnswer(err error) bool {
	for _, answer := range []error{storage.ErrMemberLimit, storage.ErrGap, storage.ErrKeyReused, storage.ErrKeyInFlight,
		storage.ErrStaleVersion, storage.ErrNoTarget, storage.ErrRetracted, storage.ErrBadQuery, errors.ErrUnsupported, context.Canceled} {
		if errors.Is(err, answer) {
			return true
		}
	}
	return false
}

// errorText is what an error says, and never too much of it.
func errorText(err error) string {
	if err == nil {
		return ""
	}
	return strings.Clone(cut(err.Error(), maxText)) // and nothing of what it was cut from
}

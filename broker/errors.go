package broker

import (
	"errors"
	"fmt"
	"time"

	"github.com/carillon-rt/carillon/storage"
)

// Errors of the package. They come wrapped: compare with errors.Is.
var (
	// ErrShutdown says that the broker is shutting down or has done so, and accepts
	// nothing more.
	ErrShutdown = errors.New("broker is shut down")
	// ErrInvalid says that an input is not valid. Every *FieldError wraps it.
	ErrInvalid = errors.New("invalid input")
	// ErrRefused says that something was refused. Every *RefusedError wraps it.
	ErrRefused = errors.New("refused")
	// ErrUnauthorized refuses a subscription that was not authorized.
	ErrUnauthorized = fmt.Errorf("%w: not authorized", ErrRefused)
	// ErrExpired refuses a subscription whose authorization has ended.
	ErrExpired = fmt.Errorf("%w: authorization has expired", ErrUnauthorized)
	// ErrRevoked refuses a subscription to a channel that the session was taken off;
	// see App.Revoke.
	ErrRevoked = fmt.Errorf("%w: authorization was revoked, a new connection can ask for another", ErrRefused)
	// ErrSubscribed refuses a second subscription of a session to a channel.
	ErrSubscribed = errors.New("existing subscription")
	// ErrNotSubscribed refuses a client event to a channel that its sender is
	// not subscribed to.
	ErrNotSubscribed = errors.New("not subscribed")
	// ErrSlowSubscriber ends a subscription whose consumer fell behind by more
	// than its buffer.
	ErrSlowSubscriber = errors.New("subscriber fell behind")
	// ErrConsuming refuses a second loop over the events of an in-process subscription
	// while one is under way.
	ErrConsuming = errors.New("subscription is being consumed already")
	// ErrQuota refuses a connection over its app's quota.
	ErrQuota = errors.New("connection quota is used up")
	// ErrNoCipher says that an event cannot be published to an encrypted channel,
	// because the broker has no key for its app.
	ErrNoCipher = errors.New("encrypted channel has no cipher")
	// ErrHasCipher refuses a second cipher for encrypted channels.
	ErrHasCipher = errors.New("broker has a cipher already")
	// ErrClosed says that the session has ended.
	ErrClosed = errors.New("session is closed")
)

// FieldError names the field of an input that is not valid, what is wrong with
// it and, where a limit is exceeded, the limit. It wraps ErrInvalid.
type FieldError struct {
	// Field is the name of the field as the protocol or the option has it.
	Field string
	// Problem says what is wrong, as in "is too long".
	Problem string
	// Value is the value, where it is short and helps.
	Value string
	// Limit and Got are set where a limit is exceeded.
	Limit, Got int
}

// Error implements error.
func (e *FieldError) Error() string {
	s := e.Field + " " + e.Problem
	if e.Value != "" {
		s = fmt.Sprintf("%s %q %s", e.Field, e.Value, e.Problem)
	}
	if e.Limit > 0 {
		s += fmt.Sprintf(": %d, the limit is %d", e.Got, e.Limit)
	}
	return s
}

// Unwrap makes errors.Is(err, ErrInvalid) true.
func (e *FieldError) Unwrap() error { return ErrInvalid }

// RefusedError is what a hook returns to refuse something and tell the client
// why. Other errors of hooks are logged, and the client is told no more than
// that it was refused. It wraps ErrRefused.
type RefusedError struct {
	// Status is an HTTP status that says what kind of refusal it is; 0 means
	// 403.
	Status int
	// Message is shown to the client.
	Message string
	// RetryAfter is how long to wait before trying again; 0 if that is no use.
	RetryAfter time.Duration
}

// Refuse returns a *RefusedError with an HTTP status, of which 0 means 403, and a
// message for the client.
func Refuse(status int, message string) error {
	return &RefusedError{Status: status, Message: message}
}

// Error implements error.
func (e *RefusedError) Error() string { return e.Message }

// Unwrap makes errors.Is(err, ErrRefused) true.
func (e *RefusedError) Unwrap() error { return ErrRefused }

func isGap(err error) bool { return errors.Is(err, storage.ErrGap) }

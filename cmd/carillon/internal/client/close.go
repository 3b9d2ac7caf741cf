package client

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/coder/websocket"
)

// ClosedError is the end of a connection that the server gave a code for.
type ClosedError struct {
	Code   int
	Reason string
}

// Error implements error.
func (e *ClosedError) Error() string {
	text := fmt.Sprintf("the server closed the connection with %d", e.Code)
	if e.Reason != "" {
		text += " (" + e.Reason + ")"
	}
	return text
}

// HandshakeError is an answer that made no WebSocket of a request.
type HandshakeError struct {
	Status int
	// Body is the beginning of the answer's text.
	Body string
}

// Error implements error.
func (e *HandshakeError) Error() string {
	text := fmt.Sprintf("no WebSocket here: the server answered %d %s", e.Status, http.StatusText(e.Status))
	if e.Body != "" {
		text += ": " + e.Body
	}
	return text
}

// Next is what a client does once a connection has ended.
type Next int

// What a client does next.
const (
	// BackOff is to connect again after a while.
	BackOff Next = iota
	// AtOnce is to connect again without waiting.
	AtOnce
	// OverTLS is to connect again, encrypted.
	OverTLS
	// GiveUp is to stay away: the same would come of it.
	GiveUp
)

// After says what to do after an error, by the ranges of close codes that every client of
// the protocol keeps to.
func After(err error) Next {
	var closed *ClosedError
	var handshake *HandshakeError
	switch {
	case errors.As(err, &closed):
		switch code := closed.Code; {
		case code < 4000:
			return BackOff
		case code == 4000:
			return OverTLS
		case code < 4100:
			return GiveUp
		case code < 4200:
			return BackOff
		case code < 4300:
			return AtOnce
		}
		return GiveUp
	case errors.As(err, &handshake):
		if !Passes(handshake.Status) {
			return GiveUp
		}
	}
	return BackOff
}

// Passes reports whether another try may succeed where the answer was this HTTP status.
func Passes(status int) bool {
	return status >= 500 || status == http.StatusRequestTimeout || status == http.StatusTooManyRequests
}

// ended makes an error of one of the WebSocket library.
func ended(err error) error {
	var frame websocket.CloseError
	if errors.As(err, &frame) {
		return &ClosedError{Code: int(frame.Code), Reason: clip(frame.Reason)}
	}
	return err
}

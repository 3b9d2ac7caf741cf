package websocket

import "errors"

// Errors of Serve, and errors that the one given to transport.Receiver.Closed
// may wrap.
var (
	// ErrShutdown says that Shutdown was called, or that its context ended
	// before the connection did.
	ErrShutdown = errors.New("websocket server is shut down")
	// ErrFull says that there was no room for another connection.
	ErrFull = errors.New("websocket server has no room for another connection")
	// ErrProtocol says that the peer broke RFC 6455. The close code is 1002.
	ErrProtocol = errors.New("peer broke the WebSocket protocol")
	// ErrBinary says that the peer sent a binary message. The close code is 1003.
	ErrBinary = errors.New("peer sent a binary message")
	// ErrInvalidData says that a text message of the peer's, or the reason of its
	// close frame, was not UTF-8, or that a message could not be inflated. The close code is 1007.
	ErrInvalidData = errors.New("peer sent a message that is not valid")
	// ErrFlood says that the peer sent too many control frames. The close code
	// is 1008.
	ErrFlood = errors.New("peer sent too many control frames")
	// ErrTooLarge says that a message of the peer's was over the read limit.
	// The close code is 1009.
	ErrTooLarge = errors.New("peer sent a message over the limit")
	// ErrWriteTimeout says that the peer was cut off for taking nothing of what
	// was waiting for it.
	ErrWriteTimeout = errors.New("peer does not read")
)

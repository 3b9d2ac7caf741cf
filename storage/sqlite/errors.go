package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"time"

	"github.com/ncruces/go-sqlite3"
)

// What can be wrong with a file. The errors of Open and of all methods wrap them.
var (
	// ErrCorrupt says that the file is damaged.
	ErrCorrupt = errors.New("file is damaged")
	// ErrForeign says that the file is no store: it is not of SQLite, or holds the
	// tables of another program only.
	ErrForeign = errors.New("file is not a Carillon store")
	// ErrNewer says that a newer version of this package has written the file.
	ErrNewer = errors.New("file was written by a newer version")
	// ErrReadOnly says that the file, or its folder, cannot be written to.
	ErrReadOnly = errors.New("file is read-only")
	// ErrLocked says that another connection has held the file for longer than
	// WithBusyTimeout allows. Nothing was written.
	ErrLocked = errors.New("file is locked by another transaction")
	// ErrFull says that the disk, or the file's own limit, has no room for more. What
	// was acknowledged is kept.
	ErrFull = errors.New("disk is full")
	// ErrReplaced says that another file stands in the place of the one that was
	// opened: it has to be opened anew.
	ErrReplaced = errors.New("file was replaced while it was open")
)

// Errors of a Store that is in use.
var (
	// ErrClosed says that the store was closed.
	ErrClosed = errors.New("store is closed")
	// ErrQueueFull says that more waits for the writer than WithQueue allows. Nothing
	// was written.
	ErrQueueFull = errors.New("queue to the writer is full")
)

// FileError says what is wrong with a file.
type FileError struct {
	// Path is the file.
	Path string
	// Reason is one of this package's errors, or wraps it: ErrCorrupt, ErrForeign,
	// ErrNewer, ErrReadOnly, ErrLocked, ErrFull or ErrReplaced.
	Reason error
	// Err is what SQLite or the operating system said; nil if neither said anything.
	Err error
}

// Error implements error.
func (e *FileError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("sqlite: %s: %v", e.Path, e.Reason)
	}
	return fmt.Sprintf("sqlite: %s: %v: %v", e.Path, e.Reason, e.Err)
}

// Unwrap lets errors.Is find the reason and the cause.
func (e *FileError) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Reason}
	}
	return []error{e.Reason, e.Err}
}

// VersionError says that a file has a newer schema than this package knows. It wraps
// ErrNewer.
type VersionError struct {
	// Version is the file's, and Known the newest that this package knows.
	Version, Known int
}

// Error implements error.
func (e *VersionError) Error() string {
	return fmt.Sprintf("%v: version %d, known are those up to %d", ErrNewer, e.Version, e.Known)
}

// Unwrap makes errors.Is(err, ErrNewer) true.
func (e *VersionError) Unwrap() error { return ErrNewer }

// QueueFullError refuses a call for which the writer's queue has no room. It wraps
// ErrQueueFull.
type QueueFullError struct {
	// Field is "events" or "bytes".
	Field string
	// Limit is what WithQueue set.
	Limit int
}

// Error implements error.
func (e *QueueFullError) Error() string {
	return fmt.Sprintf("sqlite: %v: the limit is %d %s", ErrQueueFull, e.Limit, e.Field)
}

// Unwrap makes errors.Is(err, ErrQueueFull) true.
func (e *QueueFullError) Unwrap() error { return ErrQueueFull }

// OptionError says that an option of Open makes no sense.
type OptionError struct {
	// Option is the function's name, and Reason what is wrong with its value.
	Option, Reason string
}

// Error implements error.
func (e *OptionError) Error() string { return fmt.Sprintf("sqlite: %s: %s", e.Option, e.Reason) }

// BusyError says for how long a transaction waited for its turn. It wraps ErrLocked.
type BusyError struct {
	// Waited is how long.
	Waited time.Duration
}

// Error implements error.
func (e *BusyError) Error() string { return fmt.Sprintf("%v, waited for %v", ErrLocked, e.Waited) }

// Unwrap makes errors.Is(err, ErrLocked) true.
func (e *BusyError) Unwrap() error { return ErrLocked }

// fileError says which of this package's errors an error of SQLite stands for.
func fileError(path string, err error) error {
	var known *FileError
	if err == nil || errors.As(err, &known) {
		return err
	}
	for _, reason := range [...]error{ErrCorrupt, ErrForeign, ErrNewer, ErrFull} {
		if errors.Is(err, reason) {
			return &FileError{Path: path, Reason: err}
		}
	}
	var reason error
	switch {
	case errors.Is(err, sqlite3.NOTADB):
		reason = ErrForeign
	case errors.Is(err, sqlite3.CORRUPT), errors.Is(err, sqlite3.IOERR_SHORT_READ):
		reason = ErrCorrupt
	case errors.Is(err, sqlite3.READONLY), errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		reason = ErrReadOnly
	case errors.Is(err, sqlite3.BUSY), errors.Is(err, sqlite3.LOCKED):
		reason = ErrLocked
	case errors.Is(err, sqlite3.FULL), errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		reason = ErrFull
	default:
		return fmt.Errorf("sqlite: %s: %w", path, err)
	}
	return &FileError{Path: path, Reason: reason, Err: err}
}

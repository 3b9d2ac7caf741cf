package storage

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// Position says where in a channel's history an event stands: an epoch, and an
// offset that rises with every event of the epoch. Positions of one channel are
// ordered: whichever compares greater was given later.
//
// {E,0} stands before the first event of the epoch E: it is a position like any
// other, and the one of a channel in which nothing has been published yet. Only a
// Position without an epoch is none; see IsZero.
type Position struct {
	Epoch  Epoch
	Offset uint64
}

// IsZero reports whether p is no position at all: whether it has no epoch.
func (p Position) IsZero() bool { return p.Epoch.IsZero() }

// Compare returns -1 if p stands before q, 1 if it stands after q, and 0 if they
// are the same position of a channel. No position stands before every other.
func (p Position) Compare(q Position) int {
	if p.Epoch != q.Epoch {
		return p.Epoch.Compare(q.Epoch)
	}
	return cmp.Compare(p.Offset, q.Offset)
}

// Before reports whether p stands before q.
func (p Position) Before(q Position) bool { return q.After(p) }

// After reports whether p stands after q.
func (p Position) After(q Position) bool {
	if p.Epoch != q.Epoch {
		return p.Epoch.Compare(q.Epoch) > 0
	}
	return p.Offset > q.Offset
}

// String returns the position's text, "epoch:offset", and "" for none. Clients
// and other programs are to take it as it is: what it says may change.
func (p Position) String() string {
	text, _ := p.AppendText(nil)
	return string(text)
}

// AppendText implements encoding.TextAppender. It never fails.
func (p Position) AppendText(dst []byte) ([]byte, error) {
	if p.IsZero() {
		return dst, nil
	}
	dst, _ = p.Epoch.AppendText(dst)
	return strconv.AppendUint(append(dst, ':'), p.Offset, 10), nil
}

// MarshalText implements encoding.TextMarshaler. It never fails.
func (p Position) MarshalText() ([]byte, error) { return p.AppendText(nil) }

// UnmarshalText implements encoding.TextUnmarshaler: see ParsePosition. After an
// error p is as it was.
func (p *Position) UnmarshalText(text []byte) error {
	parsed, err := ParsePosition(string(text))
	if err == nil {
		*p = parsed
	}
	return err
}

// ParsePosition is the inverse of Position.String. It fails with a
// *PositionError for any other text.
func ParsePosition(text string) (Position, error) {
	if text == "" {
		return Position{}, nil
	}
	epoch, offset, found := strings.Cut(text, ":")
	if !found || len(offset) > 1 && offset[0] == '0' || strings.HasPrefix(offset, "+") {
		return Position{}, &PositionError{Text: text}
	}
	e, err := ParseEpoch(epoch)
	n, bad := strconv.ParseUint(offset, 10, 64)
	if err != nil || bad != nil || e.IsZero() {
		return Position{}, &PositionError{Text: text}
	}
	return Position{Epoch: e, Offset: n}, nil
}

// PositionError says that a text is not that of a position or an epoch.
type PositionError struct {
	// Text is what was to be parsed.
	Text string
}

// Error implements error. It shows the beginning of a text that is long.
func (e *PositionError) Error() string {
	const shown = 60
	if len(e.Text) > shown {
		return fmt.Sprintf("%q... (%d bytes) is not a position", e.Text[:shown], len(e.Text))
	}
	return fmt.Sprintf("%q is not a position", e.Text)
}

// Epoch names a time during which a store knew all that it had acknowledged. A
// store starts one each time it is opened for writing, or is told of a failover
// or a restore, and it starts one for a channel whose history it deletes or
// forgets: from then on it may have lost events that others have seen.
//
// Epochs are ordered by Number, and by Random where that is the same.
type Epoch struct {
	// Number is greater than that of every epoch that the store knows of.
	// NewEpoch takes the time in milliseconds, so that it is likely to be greater
	// than that of an epoch which the store no longer knows of as well.
	Number uint64
	// Random keeps apart the epochs of two copies of one store.
	Random uint64
}

// NewEpoch returns an epoch that comes after another; the zero Epoch stands for
// none.
func NewEpoch(after Epoch) Epoch {
	now := uint64(max(time.Now().UnixMilli(), 1))
	return Epoch{Number: max(now, after.Number+1), Random: rand.Uint64()}
}

// IsZero reports whether e is no epoch: the zero Epoch.
func (e Epoch) IsZero() bool { return e == Epoch{} }

// Compare returns -1 if e is older than f, 1 if it is newer, and 0 if they are
// the same epoch.
func (e Epoch) Compare(f Epoch) int {
	if e.Number != f.Number {
		return cmp.Compare(e.Number, f.Number)
	}
	return cmp.Compare(e.Random, f.Random)
}

const (
	// epochDigits are in the order of their bytes, and mean themselves in URLs,
	// in subjects and in keys.
	epochDigits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~"
	// halfEpoch is the number of digits of each half: 4 bits, and 10 times 6.
	halfEpoch = 11
)

// String returns the epoch's text: 22 letters, digits, "_" and "~", whose byte
// order is that of the epochs. It is empty for the zero Epoch.
func (e Epoch) String() string {
	text, _ := e.AppendText(nil)
	return string(text)
}

// AppendText implements encoding.TextAppender. It never fails.
func (e Epoch) AppendText(dst []byte) ([]byte, error) {
	if e.IsZero() {
		return dst, nil
	}
	for _, half := range [...]uint64{e.Number, e.Random} {
		for shift := 6 * (halfEpoch - 1); shift >= 0; shift -= 6 {
			dst = append(dst, epochDigits[half>>shift&63])
		}
	}
	return dst, nil
}

// ParseEpoch is the inverse of Epoch.String. It fails with a *PositionError for
// any other text.
func ParseEpoch(text string) (Epoch, error) {
	if text == "" {
		return Epoch{}, nil
	}
	if len(text) != 2*halfEpoch {
		return Epoch{}, &PositionError{Text: text}
	}
	var halves [2]uint64
	for i := range len(text) {
		digit := strings.IndexByte(epochDigits, text[i])
		if digit < 0 || i%halfEpoch == 0 && digit > 15 {
			return Epoch{}, &PositionError{Text: text}
		}
		halves[i/halfEpoch] = halves[i/halfEpoch]<<6 | uint64(digit)
	}
	e := Epoch{Number: halves[0], Random: halves[1]}
	if e.IsZero() {
		return Epoch{}, &PositionError{Text: text}
	}
	return e, nil
}

package bbolt

import (
	"encoding/binary"
	"encoding/json"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/carillon-rt/carillon/storage"
)

// positionKey is in the order of positions: the text of an epoch is in the order of epochs.
func positionKey(p storage.Position) []byte {
	return binary.BigEndian.AppendUint64([]byte(p.Epoch.String()), p.Offset)
}

// position is the inverse of positionKey.
func position(key []byte) storage.Position {
	at := len(key) - 8
	epoch, _ := storage.ParseEpoch(string(key[:at])) // what positionKey has written
	return storage.Position{Epoch: epoch, Offset: binary.BigEndian.Uint64(key[at:])}
}

// stamp is the first part of what is kept of an event: when it was appended.
func stamp(t time.Time) []byte { return binary.BigEndian.AppendUint64(nil, uint64(t.UnixNano())) }

func age(value []byte, now time.Time) time.Duration {
	return now.Sub(time.Unix(0, int64(binary.BigEndian.Uint64(value))))
}

// tooOld says whether the retention's age ends what an event is kept for.
func (ch *channel) tooOld(value []byte, now time.Time) bool {
	return ch.Keep.Age > 0 && age(value, now) >= ch.Keep.Age
}

// shown returns a cursor over the events, at the first that is not hidden.
func (ch *channel) shown() (c *bolt.Cursor, key, value []byte) {
	c = ch.bucket.Bucket(events).Cursor()
	key, value = c.Seek(positionKey(ch.Hidden))
	if key != nil && position(key) == ch.Hidden {
		key, value = c.Next()
	}
	return c, key, value
}

// keep adds an event, and hides and removes what is no longer kept.
func (ch *channel) keep(ev *storage.Event, r storage.Retention, now time.Time) error {
	text, err := json.Marshal(ev)
	if err != nil {
		return err
	}
	ch.hide(now) // what the retention until now has ended does not come back
	if err := ch.bucket.Bucket(events).Put(positionKey(ev.Position), append(stamp(now), text...)); err != nil {
		return err
	}
	ch.Keep = storage.Retention{Events: max(r.Events, 0), Age: max(r.Age, 0)}
	ch.Visible++
	ch.Stored++
	ch.hide(now)
	return ch.remove(now)
}

// hide moves Hidden to the last event that the retention does not cover.
func (ch *channel) hide(now time.Time) {
	c, key, value := ch.shown()
	for key != nil && (ch.Visible > ch.Keep.Events || ch.tooOld(value, now)) {
		ch.Hidden = position(key)
		ch.Visible--
		key, value = c.Next()
	}
}

// remove removes hidden events that fills do not need either.
func (ch *channel) remove(now time.Time) error {
	for bucket := ch.bucket.Bucket(events); ; ch.Stored-- {
		key, value := bucket.Cursor().First()
		spare := ch.Keep.Events > 0 && ch.Stored <= storage.FillEvents
		if key == nil || position(key).After(ch.Hidden) || spare && age(value, now) < storage.FillAge {
			return nil
		}
		if err := bucket.Delete(key); err != nil {
			return err
		}
	}
}

// oldest returns the position of the oldest event that can be read; zero if there is none.
func (ch *channel) oldest(now time.Time, fill bool) (pos storage.Position) {
	if ch.bucket == nil {
		return pos
	}
	c, key, value := ch.shown()
	if fill {
		key, value = c.First()
	}
	for ; key != nil; key, value = c.Next() {
		if fill || !ch.tooOld(value, now) {
			return position(key)
		}
	}
	return pos
}

// read adds events to a page, none before oldest.
func (ch *channel) read(page *storage.Page, oldest storage.Position, opts storage.ReadOptions) error {
	c := ch.bucket.Bucket(events).Cursor()
	step := c.Next
	var key, value []byte
	switch from := opts.From; {
	case opts.Backward && from.IsZero():
		step = c.Prev
		key, value = c.Last()
	case opts.Backward:
		step = c.Prev
		if key, value = c.Seek(positionKey(from)); key == nil {
			key, value = c.Last()
		} else if at := position(key); at != from || !opts.Inclusive {
			key, value = c.Prev()
		}
	default:
		key, value = c.Seek(positionKey(oldest))
		if !from.Before(oldest) {
			key, value = c.Seek(positionKey(storage.Position{Epoch: from.Epoch, Offset: from.Offset + 1}))
		}
	}
	size := 0
	for ; key != nil && !position(key).Before(oldest); key, value = step() {
		var ev storage.Event
		if err := json.Unmarshal(value[8:], &ev); err != nil {
			return err
		}
		size += len(ev.Data)
		n := len(page.Events)
		if opts.MaxEvents > 0 && n == opts.MaxEvents || opts.MaxBytes > 0 && n > 0 && size > opts.MaxBytes {
			page.More = true
			return nil
		}
		page.Events = append(page.Events, ev)
	}
	return nil
}

// key returns what an idempotency key was used for; nil if it was not.
func (ch *channel) key(name string) *usedKey {
	value := ch.bucket.Bucket(keys).Get([]byte(name))
	if name == "" || value == nil {
		return nil
	}
	var used usedKey
	if err := json.Unmarshal(value, &used); err != nil {
		return nil
	}
	return &used
}

// useKey remembers an idempotency key.
func (ch *channel) useKey(name string, used usedKey, until time.Time) error {
	text, err := json.Marshal(used)
	if err != nil {
		return err
	}
	if err := ch.bucket.Bucket(due).Put(append(stamp(until), name...), nil); err != nil {
		return err
	}
	return ch.bucket.Bucket(keys).Put([]byte(name), text)
}

// forgetKeys forgets those whose time has come.
func (ch *channel) forgetKeys(now time.Time) error {
	for bucket := ch.bucket.Bucket(due); ; {
		key, _ := bucket.Cursor().First()
		if key == nil || age(key, now) < 0 {
			return nil
		}
		if err := ch.bucket.Bucket(keys).Delete(key[8:]); err != nil {
			return err
		}
		if err := bucket.Delete(key); err != nil {
			return err
		}
	}
}

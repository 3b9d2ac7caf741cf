package bbolt

import (
	"encoding/binary"
	"encoding/json"

	bolt "go.etcd.io/bbolt"

	"github.com/carillon-rt/carillon/storage"
)

// The file has a bucket of epochs, whose order in bytes is their own, and a bucket of
// channels, each a bucket with one value and three buckets.
var (
	epochs   = []byte("epochs")
	channels = []byte("channels")

	stateValue = []byte("state")  // JSON
	events     = []byte("events") // time and JSON of each, by position
	keys       = []byte("keys")   // usedKey as JSON, by idempotency key
	due        = []byte("due")    // idempotency keys, by the time at which they are forgotten
)

// channel is one channel within a transaction. Its bucket is nil if it is not in the file.
type channel struct {
	tx     *bolt.Tx
	bucket *bolt.Bucket
	state
}

// state is what a channel's bucket says of it besides its events and keys.
type state struct {
	// Ends are the last positions of each epoch in which the channel had events. Offsets
	// rise by one from 1, so these are all that were ever given.
	Ends []storage.Position
	Keep storage.Retention
	// Hidden is the last event that the retention no longer covers: what stands up to it
	// is there for fills only.
	Hidden storage.Position
	// Visible is how many events stand after Hidden, Stored how many there are.
	Visible, Stored int
}

type usedKey struct {
	Position storage.Position
	Hash     [32]byte
}

// begin starts an epoch that is after all in the file, and after another.
func begin(tx *bolt.Tx, after storage.Epoch) (storage.Epoch, error) {
	if last := current(tx); last.Compare(after) > 0 {
		after = last
	}
	epoch := storage.NewEpoch(after)
	return epoch, tx.Bucket(epochs).Put([]byte(epoch.String()), []byte{1})
}

// current returns the epoch that began last.
func current(tx *bolt.Tx) storage.Epoch {
	k, _ := tx.Bucket(epochs).Cursor().Last()
	epoch, _ := storage.ParseEpoch(string(k)) // what begin has written
	return epoch
}

// channelKey joins the two names so that no other two make the same.
func channelKey(id storage.ChannelID) []byte {
	k := binary.AppendUvarint(nil, uint64(len(id.App)))
	return append(append(k, id.App...), id.Name...)
}

// find returns a channel as it is in the file.
func find(tx *bolt.Tx, id storage.ChannelID) (*channel, error) {
	ch := &channel{tx: tx, bucket: tx.Bucket(channels).Bucket(channelKey(id))}
	if ch.bucket == nil {
		return ch, nil
	}
	return ch, json.Unmarshal(ch.bucket.Get(stateValue), &ch.state)
}

// create returns a channel that is in the file from now on.
func create(tx *bolt.Tx, id storage.ChannelID) (*channel, error) {
	ch, err := find(tx, id)
	if err != nil || ch.bucket != nil {
		return ch, err
	}
	if ch.bucket, err = tx.Bucket(channels).CreateBucket(channelKey(id)); err != nil {
		return ch, err
	}
	for _, name := range [][]byte{events, keys, due} {
		if _, err := ch.bucket.CreateBucket(name); err != nil {
			return ch, err
		}
	}
	return ch, ch.save()
}

func (ch *channel) save() error {
	text, err := json.Marshal(ch.state)
	if err != nil {
		return err
	}
	return ch.bucket.Put(stateValue, text)
}

// empty removes all but the positions.
func (ch *channel) empty() error {
	for _, name := range [][]byte{events, keys, due} {
		if err := ch.bucket.DeleteBucket(name); err != nil {
			return err
		}
		if _, err := ch.bucket.CreateBucket(name); err != nil {
			return err
		}
	}
	ch.Hidden, ch.Visible, ch.Stored = ch.latest(), 0, 0
	return ch.save()
}

// latest returns the latest position: the beginning of the epoch if the channel has had
// nothing in it.
func (ch *channel) latest() storage.Position {
	epoch := current(ch.tx)
	if n := len(ch.Ends); n > 0 && ch.Ends[n-1].Epoch == epoch {
		return ch.Ends[n-1]
	}
	return storage.Position{Epoch: epoch}
}

// next gives out the position after the latest one, and says which event is before it
// where the offset does not.
func (ch *channel) next(latest storage.Position) (pos, prev storage.Position) {
	pos, n := storage.Position{Epoch: latest.Epoch, Offset: latest.Offset + 1}, len(ch.Ends)
	switch {
	case latest.Offset > 0:
		ch.Ends[n-1] = pos
		return pos, prev
	case n > 0:
		prev = ch.Ends[n-1]
	}
	ch.Ends = append(ch.Ends, pos)
	return pos, prev
}

// following returns the position that was given right after another, none if that is
// the last, and whether the other is known at all.
func (ch *channel) following(from storage.Position) (pos storage.Position, known bool) {
	known = from.Offset == 0 && ch.tx.Bucket(epochs).Get([]byte(from.Epoch.String())) != nil
	for _, end := range ch.Ends {
		switch newer := end.Epoch.Compare(from.Epoch); {
		case newer > 0:
			return storage.Position{Epoch: end.Epoch, Offset: 1}, known
		case newer == 0 && from.Offset < end.Offset:
			return storage.Position{Epoch: end.Epoch, Offset: from.Offset + 1}, true
		case newer == 0:
			known = from.Offset == end.Offset
		}
	}
	return pos, known
}

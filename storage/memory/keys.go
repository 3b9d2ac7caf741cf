package memory

import (
	"time"

	"github.com/carillon-rt/carillon/storage"
)

// keys remembers idempotency keys in two generations. New keys go to the young
// one; it becomes the old one when all keys of that have expired. So whole
// generations are dropped instead of single keys, and no more is held than was
// used within about two windows.
type keys struct {
	young, old map[string]usedKey
	// Until when a generation holds a key that counts, on the store's clock.
	youngUntil, oldUntil time.Duration
}

// usedKey is what a key stands for.
type usedKey struct {
	first storage.Position // of the event that used it first
	hash  [32]byte         // of that event's request
	until time.Duration
}

// find returns the first use of the key, if it still counts.
func (k *keys) find(key string, now time.Duration) (usedKey, bool) {
	used, ok := k.young[key]
	if !ok {
		used, ok = k.old[key]
	}
	return used, ok && now < used.until
}

func (k *keys) add(key string, use usedKey, now time.Duration) {
	if now >= k.oldUntil {
		k.old, k.oldUntil = k.young, k.youngUntil
		k.young, k.youngUntil = nil, 0
	}
	if k.young == nil {
		k.young = make(map[string]usedKey)
	}
	k.young[key] = use
	k.youngUntil = max(k.youngUntil, use.until)
}

// expire drops the generations that are over.
func (k *keys) expire(now time.Duration) {
	if now >= k.oldUntil {
		k.old, k.oldUntil = nil, 0
	}
	if now >= k.youngUntil {
		k.young, k.youngUntil = nil, 0
	}
}

// until returns when the last key expires, and 0 if there is none.
func (k *keys) until() time.Duration { return max(k.youngUntil, k.oldUntil) }

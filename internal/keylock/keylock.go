// Package keylock has a lock for each key of any number: holders of different keys do
// not wait for each other, and a key that is neither held nor waited for takes no
// memory.
//
//	lock, err := locks.Lock(ctx, hash, key)
//	defer lock.Unlock()
package keylock

import (
	"context"
	"sync"
)

const stripes = 256

// Locks are locks by key. The zero Locks is ready; all methods are safe for
// concurrent use.
type Locks[K comparable] struct {
	stripes [stripes]stripe[K]
}

// stripe is 64 bytes where pointers have 8. Its lock is held for moments only.
type stripe[K comparable] struct {
	mu    sync.Mutex
	used  *Lock[K] // guarded by mu: the locks of this stripe that are held, as a list
	spare *Lock[K] // guarded by mu: one to use again
	_     [40]byte
}

// Lock is a key that is held.
type Lock[K comparable] struct {
	stripe *stripe[K]
	key    K
	users  int           // guarded by stripe.mu: who holds it, and who waits
	pass   chan struct{} // hands the lock to the one who has waited longest; made for the first who waits
	next   *Lock[K]      // guarded by stripe.mu
}

// Lock takes the lock of key, whose hash spreads the keys. Who waits is served in
// turn, and gives up with ctx's error when ctx ends.
func (l *Locks[K]) Lock(ctx context.Context, hash uint64, key K) (*Lock[K], error) {
	s := &l.stripes[hash%stripes]
	s.mu.Lock()
	for k := s.used; k != nil; k = k.next {
		if k.key == key {
			return k, k.wait(ctx)
		}
	}
	k := s.spare
	if s.spare = nil; k == nil {
		k = &Lock[K]{stripe: s}
	}
	k.key, k.users, k.next = key, 1, s.used
	s.used = k
	s.mu.Unlock()
	return k, nil
}

// Held reports whether somebody holds the lock of key.
func (l *Locks[K]) Held(hash uint64, key K) bool {
	s := &l.stripes[hash%stripes]
	s.mu.Lock()
	defer s.mu.Unlock()
	for k := s.used; k != nil; k = k.next {
		if k.key == key {
			return true
		}
	}
	return false
}

// wait waits for a lock that is held. The caller holds stripe.mu, which is released.
func (k *Lock[K]) wait(ctx context.Context) error {
	if k.pass == nil {
		k.pass = make(chan struct{}, 1)
	}
	k.users++
	k.stripe.mu.Unlock()
	select {
	case <-k.pass:
		return nil
	case <-ctx.Done():
	}
	k.stripe.mu.Lock()
	defer k.stripe.mu.Unlock()
	select {
	case <-k.pass: // it came at the same time
		return nil
	default:
		k.users--
		return ctx.Err()
	}
}

// Unlock releases the lock.
func (k *Lock[K]) Unlock() {
	s := k.stripe
	s.mu.Lock()
	defer s.mu.Unlock()
	if k.users--; k.users > 0 {
		k.pass <- struct{}{}
		return
	}
	link := &s.used
	for *link != k {
		link = &(*link).next
	}
	*link = k.next
	var none K
	k.key, k.next = none, nil
	s.spare = k
}

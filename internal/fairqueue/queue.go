// Package fairqueue is a queue of notifications between a producer that must not wait
// and a consumer that may be slow. Each class of notifications has bounds of its own,
// so that a flood of one takes no room from another. A notification that something has
// begun or ended, for which there is no room, is not lost: the consumer gets the state
// by then as soon as there is room. It starts no goroutine and takes no lock.
//
//	q := fairqueue.New[string, event](classes, 1000, 1<<20)
//	dropped := q.Push(fairqueue.Item[string, event]{Class: 0, Size: len(ev.data), Value: ev})
package fairqueue

import "container/list"

// Change says what kind of notification an item is.
type Change uint8

const (
	// Happens is a notification that is dropped where there is no room.
	Happens Change = iota
	// Appears and Vanishes say that something has begun and ended, in turn. In the end
	// the consumer has got the last of them, though not each one before.
	Appears
	Vanishes
)

// Item is one notification.
type Item[K comparable, V any] struct {
	// Class is what has bounds of its own.
	Class int
	// Change is the kind of notification, and Key names what appears or vanishes.
	Change Change
	Key    K
	// Size is what it counts against the bound in bytes.
	Size  int
	Value V
}

// Queue keeps items in the order in which they came in. It is not safe for
// concurrent use.
type Queue[K comparable, V any] struct {
	maxItems, maxBytes int // of each class

	items   []Item[K, V] // those from head on
	head    int
	classes []class
	late    map[K]*late[K, V]
	waiting int // items of late
}

// class is what is queued or was taken and is not done, and what there was no room
// for, in the order of its keys.
type class struct {
	items, bytes int
	late         list.List // of *late
}

// late is what the consumer has yet to get of a key for which there was no room: that
// it has ended, or that it has begun, or both. There are never more of these than keys
// that are there, or of whose end the consumer does not know.
type late[K comparable, V any] struct {
	gone, there *Item[K, V]
	at          *list.Element
}

// New returns a queue that has room for so many items, and bytes, of each class.
func New[K comparable, V any](classes, maxItems, maxBytes int) *Queue[K, V] {
	return &Queue[K, V]{maxItems: maxItems, maxBytes: maxBytes, classes: make([]class, classes), late: make(map[K]*late[K, V])}
}

// Push queues an item. It returns how many notifications are dropped for it: the item
// itself, or others that it undoes.
func (q *Queue[K, V]) Push(item Item[K, V]) (dropped int) {
	c := &q.classes[item.Class]
	if item.Change != Happens && len(q.late) > 0 {
		if l := q.late[item.Key]; l != nil {
			return q.merge(l, item)
		}
	}
	if q.room(c, &item) {
		q.append(item)
		return 0
	}
	if item.Change == Happens {
		return 1
	}
	l := &late[K, V]{}
	q.late[item.Key] = l
	l.at = c.late.PushBack(l)
	return q.merge(l, item)
}

// room reports whether a class has room for an item of that size. A class without
// items has, so that a change which never fits is told all the same.
func (q *Queue[K, V]) room(c *class, item *Item[K, V]) bool {
	if c.items == 0 && item.Change != Happens {
		return true
	}
	return c.items < q.maxItems && c.bytes+item.Size <= q.maxBytes
}

func (q *Queue[K, V]) append(item Item[K, V]) {
	c := &q.classes[item.Class]
	c.items++
	c.bytes += item.Size
	if q.head > 0 && len(q.items) == cap(q.items) {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	q.items = append(q.items, item)
}

// merge adds an item to what is late of its key, and forgets what that undoes: all
// of it, if the key has come and gone.
func (q *Queue[K, V]) merge(l *late[K, V], item Item[K, V]) (dropped int) {
	q.waiting++
	if item.Change == Appears {
		if l.there != nil {
			dropped = 1
		}
		l.there = &item
	} else if l.there == nil {
		if l.gone != nil {
			dropped = 1
		}
		l.gone = &item
	} else {
		dropped = 2
		if l.there = nil; l.gone == nil {
			q.forget(l, item)
		}
	}
	q.waiting -= dropped
	return dropped
}

func (q *Queue[K, V]) forget(l *late[K, V], of Item[K, V]) {
	delete(q.late, of.Key)
	q.classes[of.Class].late.Remove(l.at)
}

// Pop takes the first item. It takes room until Done.
func (q *Queue[K, V]) Pop() (item Item[K, V], ok bool) {
	if q.head == len(q.items) {
		return item, false
	}
	item, q.items[q.head] = q.items[q.head], item
	if q.head++; q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
		if cap(q.items) > maxSpare {
			q.items = nil
		}
	}
	return item, true
}

// maxSpare is the room for items that an empty queue keeps.
const maxSpare = 1024

// Done gives back the room of an item that Pop has returned, to what there was no
// room for.
func (q *Queue[K, V]) Done(item Item[K, V]) {
	c := &q.classes[item.Class]
	c.items--
	c.bytes -= item.Size
	for first := c.late.Front(); first != nil; first = c.late.Front() {
		l := first.Value.(*late[K, V])
		next := l.gone
		if next == nil {
			next = l.there
		}
		if !q.room(c, next) {
			return
		}
		if l.gone = nil; next == l.there || l.there == nil {
			q.forget(l, *next)
		}
		q.waiting--
		q.append(*next)
	}
}

// Len is how many items are queued, those included for which there is no room yet.
func (q *Queue[K, V]) Len() int { return q.Ready() + q.waiting }

// Ready is how many items Pop would return without a Done.
func (q *Queue[K, V]) Ready() int { return len(q.items) - q.head }

// First is the item that Pop would return. There has to be one.
func (q *Queue[K, V]) First() *Item[K, V] { return &q.items[q.head] }

package websocket

import "sync"

// queue is a list of frames: the first of an empty one in lone, where it costs
// no memory besides, and all others in chunks. An idle queue holds no memory,
// and a long one is never copied.
type queue struct {
	lone       []byte // before all of the chunks
	head, tail *chunk
	// start is where head begins, end where tail ends.
	start, end int16
	count      int32
}

type chunk struct {
	next   *chunk
	frames [10][]byte
}

func (q *queue) push(chunks *sync.Pool, frame []byte) {
	q.count++
	if q.count == 1 {
		q.lone = frame
		return
	}
	if q.tail == nil || int(q.end) == len(q.tail.frames) {
		added := chunks.Get().(*chunk)
		if q.tail == nil {
			q.head, q.start = added, 0
		} else {
			q.tail.next = added
		}
		q.tail, q.end = added, 0
	}
	q.tail.frames[q.end] = frame
	q.end++
}

// front returns the first frame; there must be one.
func (q *queue) front() []byte {
	if q.lone != nil {
		return q.lone
	}
	return q.head.frames[q.start]
}

// pop forgets the first frame; there must be one.
func (q *queue) pop(chunks *sync.Pool) {
	q.count--
	if q.lone != nil {
		q.lone = nil
		return
	}
	used := q.head
	used.frames[q.start] = nil
	q.start++
	if q.count == 0 || int(q.start) == len(used.frames) {
		q.head, q.start = used.next, 0
		if q.head == nil {
			q.tail, q.end = nil, 0
		}
		used.next = nil
		chunks.Put(used)
	}
}

// all yields the frames, oldest first.
func (q *queue) all(yield func([]byte) bool) {
	left := q.count
	if q.lone != nil {
		if left--; !yield(q.lone) {
			return
		}
	}
	index := int(q.start)
	for c := q.head; left > 0; left-- {
		if index == len(c.frames) {
			c, index = c.next, 0
		}
		if !yield(c.frames[index]) {
			return
		}
		index++
	}
}

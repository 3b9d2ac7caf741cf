package websocket

import "sync"

// queue is a list of frames in chunks. An idle queue holds no memory, and a long
// one is never copied.
type queue struct {
	head, tail *chunk
	// start is where head begins, end where tail ends.
	start, end int
	count      int
}

type chunk struct {
	next   *chunk
	frames [10][]byte
}

func (q *queue) push(chunks *sync.Pool, frame []byte) {
	if q.tail == nil || q.end == len(q.tail.frames) {
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
	q.count++
}

// front returns the first frame; there must be one.
func (q *queue) front() []byte { return q.head.frames[q.start] }

// pop forgets the first frame; there must be one.
func (q *queue) pop(chunks *sync.Pool) {
	used := q.head
	used.frames[q.start] = nil
	q.start++
	q.count--
	if q.count == 0 || q.start == len(used.frames) {
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
	index := q.start
	for c, left := q.head, q.count; left > 0; left-- {
		if index == len(c.frames) {
			c, index = c.next, 0
		}
		if !yield(c.frames[index]) {
			return
		}
		index++
	}
}

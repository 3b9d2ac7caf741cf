package broker

import "fmt"

// consume yields what is in the inbox, and waits for more until it has ended.
func (in *inbox) consume(yield func(Event, error) bool) {
	if !in.begin() {
		yield(Event{}, ErrConsuming)
		return
	}
	defer in.pause()
	for !in.closed.Load() {
		if in.at == len(in.batch) {
			if err, ended := in.next(); ended {
				if err != nil {
					yield(Event{}, err)
				}
				return
			}
			continue
		}
		ev := in.batch[in.at]
		in.batch[in.at] = nil
		in.at++
		if ev == gapAhead {
			if !yield(Event{}, in.gap()) {
				return
			}
			continue
		}
		if in.done += len(ev.Data); in.done > in.byteLimit/consumedParts {
			in.consumed()
		}
		opened, err := in.open(ev)
		if err != nil {
			in.fail(err)
			continue
		}
		if !yield(opened, nil) {
			return
		}
	}
}

// consumedParts is in how many steps a consumer that goes through as much as may
// wait tells that it did.
const consumedParts = 16

// consumed tells what the consumer has gone through, while it is at it.
func (in *inbox) consumed() {
	in.mu.Lock()
	in.gone()
	in.mu.Unlock()
}

// begin makes the caller the consumer, unless there is one.
func (in *inbox) begin() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.consuming {
		return false
	}
	in.consuming = true
	return true
}

// pause ends what begin has begun.
func (in *inbox) pause() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.consuming = false
	in.gone()
	if in.closed.Load() {
		in.forget()
	}
}

// maxSpare is how many events' worth of queue a subscription keeps for reuse.
const maxSpare = 1024

// next waits for events and takes all there are.
func (in *inbox) next() (err error, ended bool) {
	var spare []*Event
	if cap(in.batch) <= maxSpare {
		spare = in.batch[:0]
	}
	in.batch, in.at = nil, 0
	for {
		in.mu.Lock()
		in.gone()
		switch {
		case in.closed.Load():
			in.mu.Unlock()
			return nil, true
		case len(in.queue) > 0:
			in.batch, in.queue, in.exempt = in.queue, spare, 0
			in.mu.Unlock()
			return nil, false
		case in.ended:
			err := in.err
			in.mu.Unlock()
			return err, true
		}
		if in.wake == nil {
			in.wake = make(chan struct{}, 1)
		}
		in.waiting = true
		in.mu.Unlock()
		<-in.wake
	}
}

// fail ends the subscription for an event that cannot be consumed.
func (in *inbox) fail(err error) {
	in.batch, in.at = nil, 0
	in.end(err)
	in.mu.Lock()
	defer in.mu.Unlock()
	in.forget()
	in.err = err // also where it had ended without one
}

// open returns the event as published, unsealed on an encrypted channel.
func (in *inbox) open(ev *Event) (Event, error) {
	c := in.sub.channel
	if c.kind.Base() != Encrypted {
		return *ev, nil
	}
	cipher := c.node.cipher.Load()
	if cipher == nil {
		return Event{}, fmt.Errorf("%w: channel %q", ErrNoCipher, ev.Channel)
	}
	opened := *ev
	data, err := (*cipher).Open(c.id.App, ev.Channel, ev.Data)
	if err != nil {
		return Event{}, fmt.Errorf("open event %s of channel %q: %w", ev.ID, ev.Channel, err)
	}
	opened.Data = data
	return opened, nil
}

package storage

import "context"

// Capabilities say what a store promises beyond its interfaces.
type Capabilities struct {
	// ContiguousOffsets: the offsets of one epoch rise by one with every event of
	// the channel. Without it they have holes, and every event names the one before
	// in Event.Prev.
	ContiguousOffsets bool
	// Durable: what was acknowledged outlives the end of the process, and of the
	// machine.
	Durable bool
	// Transactions: events can be appended within a transaction of the caller, and
	// go out if and only if it commits.
	Transactions bool
	// Shared: several brokers may use what is stored at one time, in one process or in
	// several. Such a store implements Watch if it can notify one of what another has
	// done.
	Shared bool
	// PromptAppends: Append returns as soon as its context has ended, whatever the store
	// waits for. Brokers then call it on the publisher's own goroutine, without one for
	// each call that could be left behind: a store that says so and hangs all the same
	// holds up publishers for good. The context may be shared by many calls.
	PromptAppends bool
}

// Capable is implemented by stores that promise more than their interfaces do.
type Capable interface {
	// Capabilities returns the same at any time.
	Capabilities() Capabilities
}

// CapabilitiesOf returns what a store promises: nothing unless it is Capable.
func CapabilitiesOf(store any) Capabilities {
	if c, ok := store.(Capable); ok {
		return c.Capabilities()
	}
	return Capabilities{}
}

// Watch is implemented by a History that can notify of appends through another handle
// or by another process. Without it a broker on a shared store asks for Latest now and
// then.
type Watch interface {
	// Watch calls notify for every append, the caller's own included, until ctx is done
	// or notifications fail, and returns the reason. It calls notify with the zero
	// Commit once it has begun to watch, and again whenever it may have missed
	// something.
	//
	// Notifications are hints. They come from any goroutine, also at the same time, and
	// may come late, in another order, twice, or not at all: one may stand for several
	// events of a channel that come close together. notify does not block.
	Watch(ctx context.Context, notify func(Commit)) error
}

// Commit says that something was appended to a channel.
type Commit struct {
	// Channel is the channel, or the zero ChannelID where the store does not know
	// which: then every channel of interest has to be asked for its latest position.
	Channel ChannelID
	// Latest is a position that was given in the channel; zero if the notification
	// does not say, and the channel has to be asked.
	Latest Position
	// Event is the event at Latest where the notification carries it, to be shared
	// and never changed; nil where it has to be read.
	Event *Event
}

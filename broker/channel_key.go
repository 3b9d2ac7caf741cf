package broker

import "github.com/carillon-rt/carillon/storage"

// channelKey is a channel's ID with its hash, which is worked out once for each of
// the tables that a channel is looked for in.
type channelKey struct {
	id   storage.ChannelID
	hash uint64
}

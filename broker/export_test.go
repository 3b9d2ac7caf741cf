package broker

// PastWindow is how long after a read of a channel's past the next one may begin.
const PastWindow = pastWindow

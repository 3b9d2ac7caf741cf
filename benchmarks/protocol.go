package main

import "encoding/json"

// The commands that a server process takes, a line of JSON each.
const (
	commandPublish = "publish"
	commandUsage   = "usage"
	commandMark    = "mark"
	commandMemory  = "memory"
	commandProfile = "profile"
)

// hello is the first line that a server process prints.
type hello struct {
	Addr string `json:"addr"`
	// Certificate is the PEM that its clients have to trust, with TLS.
	Certificate string `json:"certificate,omitempty"`
}

// command is what the load asks of a server process.
type command struct {
	Command string `json:"command"`

	// Count is how many events to publish, Rate how many a second; at 0 as fast
	// as possible.
	Count int     `json:"count,omitempty"`
	Rate  float64 `json:"rate,omitempty"`
	// Channels is over how many channels the events are spread at random.
	Channels int `json:"channels,omitempty"`
	// Size is the size of an event's data in bytes.
	Size int `json:"size,omitempty"`

	// Path is the file of a CPU profile; empty ends the profile.
	Path string `json:"path,omitempty"`
}

// answer is a server process's answer to a command.
type answer struct {
	Error string `json:"error,omitempty"`
	// Seconds is how long publishing took. Failed counts publishes that
	// returned an error.
	Seconds float64 `json:"seconds,omitempty"`
	Failed  int     `json:"failed,omitempty"`
	// CPU is the user and system time in seconds since publishing, or since the
	// last mark.
	CPU float64 `json:"cpu,omitempty"`
	// RSS is the resident memory in bytes after a collection.
	RSS        int64 `json:"rss,omitempty"`
	Goroutines int   `json:"goroutines,omitempty"`
}

func (a answer) line() ([]byte, error) {
	b, err := json.Marshal(a)
	return append(b, '\n'), err
}

package main

import "strconv"

// payloadBytes is the data of an event where a scenario does not say.
const payloadBytes = 100

// channelName names the i-th channel of a scenario.
func channelName(i int) string { return "bench-" + strconv.Itoa(i) }

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/carillon-rt/carillon/internal/arrivals"
)

// rulesScenario tells what Carillon's clients cost by what they do, and whether
// that grows with the rules that there are for channels.
func rulesScenario() scenario {
	return scenario{
		number: 11,
		title:  "Subscribes and client events, with 0 and 50 rules for channels",
		how: "CPU of the server. 50 clients subscribe to 200 public channels each, of which nobody else has any; then, " +
			"one of each of 50 pairs on a presence channel sends the other 400 events of 100 bytes, all at once, and all " +
			"arrive. Of the rules, the last one matches.",
		goals: []goal{
			{label: "50 rules", metric: clientEventMetric, of: "0 rules", limit: 1.1},
		},
		run: func(e *env) ([]row, error) {
			return e.cases([]string{"0 rules", "50 rules"}, func(label string) ([]metric, error) {
				var rules int
				if _, err := fmt.Sscan(label, &rules); err != nil {
					return nil, err
				}
				subscribe, err := e.subscribeCPU(rules)
				if err != nil {
					return nil, err
				}
				event, err := e.clientEventCPU(rules)
				return []metric{{"CPU µs/subscribe", subscribe}, {clientEventMetric, event}}, err
			})
		},
	}
}

const clientEventMetric = "CPU µs/client event"

// acts is what each of so many clients does, and on which other client's
// connection the answers come.
type acts struct {
	clients []*client
	// messages are what a client sends, and answer is in each of the answers that
	// the reader waits for.
	messages func(i int) [][]byte
	answer   string
	reader   func(i int) *client
}

// cost is the server's CPU time in microseconds for each message, all answered.
func (a acts) cost(server *process) (float64, error) {
	if _, err := server.ask(command{Command: commandMark}); err != nil {
		return 0, err
	}
	failures := make([]error, len(a.clients))
	count := 0
	var group sync.WaitGroup
	for i, c := range a.clients {
		messages := a.messages(i)
		count += len(messages)
		group.Go(func() {
			sent := make(chan error, 1)
			go func() {
				var err error
				for _, m := range messages {
					err = errors.Join(err, c.send(m))
				}
				sent <- err
			}()
			var err error
			_ = a.reader(i).SetReadDeadline(time.Now().Add(connectTimeout))
			for range messages {
				if _, err = a.reader(i).await(a.answer); err != nil {
					break
				}
			}
			failures[i] = errors.Join(err, <-sent)
		})
	}
	group.Wait()
	usage, err := server.ask(command{Command: commandUsage})
	return usage.CPU * 1e6 / float64(count), errors.Join(append(failures, err)...)
}

func (e *env) subscribeCPU(rules int) (cost float64, err error) {
	server, d, err := dialTo(carillonPeer, serverOptions{rules: rules})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, server.stop()) }()
	clients, err := d.dialAll(e.size(50, 4), func(i int) (channel, user string) { return channelName(i), "" })
	if err != nil {
		return 0, err
	}
	defer closeAll(clients)
	return acts{
		clients: clients,
		messages: func(i int) (all [][]byte) {
			for j := range e.size(200, 10) {
				all = append(all, message("pusher:subscribe", "", map[string]string{"channel": fmt.Sprintf("of-%d-%d", i, j)}))
			}
			return all
		},
		answer: "pusher_internal:subscription_succeeded",
		reader: func(i int) *client { return clients[i] },
	}.cost(server)
}

func (e *env) clientEventCPU(rules int) (cost float64, err error) {
	server, d, err := dialTo(carillonPeer, serverOptions{rules: rules, freely: true})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, server.stop()) }()
	pairs := e.size(50, 4)
	clients, err := d.dialAll(2*pairs, func(i int) (channel, user string) {
		return presencePrefix + channelName(i%pairs), fmt.Sprint("user-", i)
	})
	if err != nil {
		return 0, err
	}
	defer closeAll(clients)
	fill := arrivals.Filler(payloadBytes)
	return acts{
		clients: clients[:pairs],
		messages: func(i int) (all [][]byte) {
			for range e.size(400, 10) {
				all = append(all, message("client-message", presencePrefix+channelName(i), fill))
			}
			return all
		},
		answer: "client-message",
		reader: func(i int) *client { return clients[i+pairs] },
	}.cost(server)
}

// dialAll connects clients, each to a channel as a user.
func (d *dialer) dialAll(n int, of func(i int) (channel, user string)) ([]*client, error) {
	clients := make([]*client, 0, n)
	for i := range n {
		channel, user := of(i)
		c, err := d.dial(channel, user, false)
		if err != nil {
			closeAll(clients)
			return nil, err
		}
		clients = append(clients, c)
	}
	return clients, nil
}

func closeAll(clients []*client) {
	for _, c := range clients {
		_ = c.Close()
	}
}

// message is one of the Pusher protocol.
func message(event, channel string, data any) []byte {
	text, err := json.Marshal(struct {
		Event   string `json:"event"`
		Channel string `json:"channel,omitempty"`
		Data    any    `json:"data"`
	}{event, channel, data})
	if err != nil {
		panic(err) // strings and maps of strings
	}
	return text
}

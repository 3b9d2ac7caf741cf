package pusher

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/carillon-rt/carillon/broker"
	"github.com/carillon-rt/carillon/internal/surrogate"
)

// eventBody is an event as a backend sends it.
type eventBody struct {
	name     string
	data     *string // nil if there is none
	channel  string
	channels []string
	socketID string
	info     string
	id       string // chosen by the backend; empty for none
}

// parseEvent parses an event, which is the body of a request or part of one.
func parseEvent(body []byte, what string) (e eventBody, err error) {
	var data, channels json.RawMessage
	if err := parseObject(body, what, field{name: "name", text: &e.name}, field{name: "data", raw: &data},
		field{name: "channel", text: &e.channel}, field{name: "channels", raw: &channels},
		field{name: "socket_id", text: &e.socketID}, field{name: "info", text: &e.info}, field{name: "id", text: &e.id}); err != nil {
		return eventBody{}, err
	}
	if text, ok := jsonString(data); ok {
		if surrogate.Lone(data) {
			return eventBody{}, halfPair("data")
		}
		e.data = &text
	} else if len(data) > 0 && string(data) != "null" {
		return eventBody{}, &broker.FieldError{Field: "data", Problem: "is not a string: encode it as JSON first"}
	}
	e.channels, err = stringList("channels", channels)
	return e, err
}

// idempotencyHeader makes a retried request a no-op
// (https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/).
// A retry that comes while the first request is under way waits and gets its
// outcome, rather than the draft's 409; that is the answer where the store cannot
// wait. A key that comes back with another event for one of its channels is
// answered 422.
const idempotencyHeader = "Idempotency-Key"

// maxIdempotencyKey bounds that header in bytes: stores keep it for a while.
const maxIdempotencyKey = 255

// requests checks the event and makes a request for each of its channels.
func (e *eventBody) requests(limits Limits, key string) ([]broker.PublishRequest, error) {
	channels := e.channels
	switch {
	case e.name == "":
		return nil, badRequest("name is missing")
	case e.data == nil:
		return nil, badRequest("data is missing")
	case len(channels) > 0 && e.channel != "":
		return nil, badRequest("channel and channels are both given: use one")
	case e.channel != "":
		channels = []string{e.channel}
	case len(channels) == 0:
		return nil, badRequest("channels is missing: give 1 to %d, or channel", limits.ChannelsPerEvent)
	case len(channels) > limits.ChannelsPerEvent:
		return nil, badRequest("channels has too many: %d, the limit is %d", len(channels), limits.ChannelsPerEvent)
	}
	if n := utf8.RuneCountInString(e.name); n > limits.EventNameChars {
		return nil, &broker.FieldError{Field: "name", Problem: "is too long", Limit: limits.EventNameChars, Got: n}
	}
	if e.socketID != "" {
		if err := checkSocketID(e.socketID); err != nil {
			return nil, err
		}
	}
	if len(key) > maxIdempotencyKey {
		return nil, &broker.FieldError{Field: idempotencyHeader, Problem: "is too long, in bytes", Limit: maxIdempotencyKey, Got: len(key)}
	}
	if len(*e.data) > limits.EventBytes {
		return nil, &apiError{status: http.StatusRequestEntityTooLarge,
			message: fmt.Sprintf("data is too large: %d bytes, the limit is %d. ", len(*e.data), limits.EventBytes) + eventTooLarge(limits.EventBytes)}
	}
	reqs := make([]broker.PublishRequest, 0, len(channels))
	data := []byte(*e.data)
	for i, channel := range channels {
		if slices.Contains(channels[:i], channel) {
			continue // one event reaches a channel once
		}
		reqs = append(reqs, broker.PublishRequest{Channel: channel, Event: e.name, Data: data, ID: e.id,
			ExcludeSocketID: e.socketID, IdempotencyKey: key, Sealed: true})
	}
	return reqs, nil
}

// eventTooLarge is what the hosted service says of an event over the limit: suites
// of SDKs look for it.
func eventTooLarge(limit int) string {
	return fmt.Sprintf("The data content of this event exceeds the allowed maximum (%d bytes)", limit)
}

// validSocketID matches \A\d+\.\d+\z.
func validSocketID(id string) bool {
	a, b, ok := strings.Cut(id, ".")
	digits := func(s string) bool {
		return s != "" && strings.Trim(s, "0123456789") == ""
	}
	return ok && digits(a) && digits(b)
}

// publish serves POST /events.
func (r *apiRequest) publish() (any, error) {
	ev, err := parseEvent(r.body, "body")
	if err != nil {
		return nil, err
	}
	info, err := parseInfo(ev.info, publishInfo...)
	if err != nil {
		return nil, err
	}
	reqs, err := ev.requests(r.limits, r.Header.Get(idempotencyHeader))
	if err != nil {
		return nil, err
	}
	published, err := r.app.PublishBatch(r.Context(), reqs)
	if err != nil {
		var in *broker.BatchError
		if errors.As(err, &in) {
			err = in.Err // the events differ in nothing but the channel
		}
		return nil, err
	}
	if len(info) == 0 {
		return empty{}, nil
	}
	infos, err := r.describePublished(reqs, published, func(int) []string { return info })
	if err != nil {
		return nil, err
	}
	described := make(map[string]channelInfo, len(reqs))
	for i, req := range reqs {
		described[req.Channel] = infos[i]
	}
	return struct {
		Channels map[string]channelInfo `json:"channels"`
	}{described}, nil
}

// publishBatch serves POST /batch_events.
func (r *apiRequest) publishBatch() (any, error) {
	batch, err := r.batch()
	if err != nil {
		return nil, err
	}
	reqs := make([]broker.PublishRequest, 0, len(batch))
	infos := make([][]string, len(batch))
	asked := false
	for i, raw := range batch {
		var err error
		if reqs, infos[i], err = r.batchEvent(reqs, i, raw); err != nil {
			return nil, inBatch(i, err)
		}
		asked = asked || len(infos[i]) > 0
	}
	published, err := r.app.PublishBatch(r.Context(), reqs)
	if err != nil {
		var in *broker.BatchError
		if errors.As(err, &in) {
			err = inBatch(in.Index, in.Err)
		}
		return nil, err
	}
	if !asked {
		return empty{}, nil
	}
	described, err := r.describePublished(reqs, published, func(i int) []string { return infos[i] })
	if err != nil {
		return nil, err
	}
	return struct {
		Batch []channelInfo `json:"batch"`
	}{described}, nil
}

// publishInfo are the attributes that a backend may ask for when it publishes: of the
// channel, and of the event, which may be amended by its id.
var publishInfo = []string{"user_count", "subscription_count", "id", "position"}

// describePublished is describe with what is told of the events.
func (r *apiRequest) describePublished(reqs []broker.PublishRequest, published []broker.Published, attributes func(i int) []string) ([]channelInfo, error) {
	infos, err := r.describe(channelsOf(reqs), attributes)
	for i := range infos {
		asked := attributes(i)
		if slices.Contains(asked, "id") {
			infos[i].ID = published[i].ID
		}
		if slices.Contains(asked, "position") {
			infos[i].Position = published[i].Position.String()
		}
	}
	return infos, err
}

func channelsOf(reqs []broker.PublishRequest) []string {
	channels := make([]string, len(reqs))
	for i := range reqs {
		channels[i] = reqs[i].Channel
	}
	return channels
}

// batch parses the list of events, of which there are as many as there may be.
func (r *apiRequest) batch() (batch []json.RawMessage, err error) {
	var raw json.RawMessage
	if err := parseObject(r.body, "body", field{name: "batch", raw: &raw}); err != nil {
		return nil, err
	}
	if len(raw) > 0 && json.Unmarshal(raw, &batch) != nil {
		return nil, &broker.FieldError{Field: "batch", Problem: "is not a list of events"}
	}
	switch n := len(batch); {
	case n == 0:
		return nil, badRequest("batch is missing or empty")
	case n > r.limits.EventsPerBatch:
		return nil, badRequest("batch has too many events: %d, the limit is %d. Batch too large (%[1]d > %[2]d)", n, r.limits.EventsPerBatch)
	}
	return batch, nil
}

// inBatch says which event of a batch an error is about.
func inBatch(i int, err error) error {
	a := answerTo(err)
	if a.status == http.StatusInternalServerError {
		return fmt.Errorf("batch[%d]: %w", i, err)
	}
	return &apiError{status: a.status, message: fmt.Sprintf("batch[%d]: %s", i, a.text), retryAfter: int(math.Ceil(a.retry.Seconds()))}
}

func (r *apiRequest) batchEvent(reqs []broker.PublishRequest, i int, raw json.RawMessage) ([]broker.PublishRequest, []string, error) {
	ev, err := parseEvent(raw, "event")
	if err != nil {
		return nil, nil, err
	}
	if len(ev.channels) > 0 {
		return nil, nil, badRequest("channels is not allowed in a batch: use channel")
	}
	info, err := parseInfo(ev.info, publishInfo...)
	if err != nil {
		return nil, nil, err
	}
	added, err := ev.requests(r.limits, r.Header.Get(idempotencyHeader))
	for j := range added {
		if key := &added[j].IdempotencyKey; *key != "" {
			*key = fmt.Sprintf("%s[%d]", *key, i)
		}
	}
	return append(reqs, added...), info, err
}

// parseInfo takes the attributes that a backend asks for apart.
func parseInfo(info string, known ...string) ([]string, error) {
	if info == "" {
		return nil, nil
	}
	names := strings.Split(info, ",")
	for i, name := range names {
		if names[i] = strings.TrimSpace(name); !slices.Contains(known, names[i]) {
			return nil, badRequest("info has an unknown attribute %q: known are %s", name, strings.Join(known, ", "))
		}
	}
	return names, nil
}

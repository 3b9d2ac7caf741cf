package broker

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/carillon-rt/carillon/ratelimit"
	"github.com/carillon-rt/carillon/storage"
)

// MaxOperationID is the most bytes that the ID of an operation may have.
const MaxOperationID = 128

// amending is an amendment on its way to the store.
type amending struct {
	broker  *Broker
	channel channelKey
	kind    Kind
	rule    *ChannelRule
	// limit is what rate limits are asked about, and limited that they have been.
	limit   ratelimit.Request
	limited bool
	// anyVersion says that the last amendment was made of whatever the target was.
	anyVersion bool
	sender     *sender // nil for the server side
}

// amending checks all of a request that does not depend on the target.
func (b *Broker) amending(req *AmendRequest, action ratelimit.Action) (*amending, error) {
	if b.stopped.Load() {
		return nil, ErrShutdown
	}
	a := &amending{broker: b, channel: b.channels.key(ChannelID{App: req.App, Name: req.Channel})}
	var err error
	if a.kind, a.rule, err = b.rules.nature(&a.channel); err != nil {
		return nil, b.refusal(err)
	}
	if a.rule.retention(a.kind).Events == 0 {
		return nil, notKept(req.Channel)
	}
	switch {
	case req.EventID == "":
		err = &FieldError{Field: "id", Problem: "is empty"}
	case len(req.OperationID) > MaxOperationID:
		err = &FieldError{Field: "operation_id", Problem: "is too long", Limit: MaxOperationID, Got: len(req.OperationID)}
	case !utf8.ValidString(req.OperationID):
		err = &FieldError{Field: "operation_id", Problem: "is not valid UTF-8"}
	case req.UserID != "":
		err = CheckUserID(req.UserID)
	}
	if err != nil {
		return nil, b.refusal(err)
	}
	a.limit = ratelimit.Request{Action: action, App: req.App, Channel: req.Channel, Event: b.names.of(req.Amends), Size: len(req.Data)}
	return a, nil
}

// accept asks limits and hooks, looks at what the target is now, and makes what the store
// is to do. It is called again if the target has changed before that was done.
func (a *amending) accept(ctx context.Context, req *AmendRequest) (storage.Prepared, error) {
	b := a.broker
	if !a.limited {
		if err := b.rateLimits.limited(ctx, a.limit); err != nil {
			return storage.Prepared{}, err
		}
		a.limited = true
	}
	hook := func(h *Hooks) func(context.Context, *AmendRequest) error { return h.Amend }
	notAllowed := func() error {
		return b.refusal(Refuse(403, fmt.Sprintf("channel %q lets clients amend no events", req.Channel)))
	}
	if !req.Allowed && !decides(&b.hooks, hook) { // looking for the target may be work
		return storage.Prepared{}, notAllowed()
	}
	target, err := b.target(ctx, a.channel.id, req.EventID)
	if err != nil {
		return storage.Prepared{}, err
	}
	target.Exclude, target.Prev = "", Position{} // for those who hand it out
	asked := *req
	asked.Target = target
	hash := amendHash(req)
	if err := decide(ctx, &b.hooks, hook, &asked); err != nil {
		return storage.Prepared{}, err
	}
	if !asked.Allowed {
		return storage.Prepared{}, notAllowed()
	}
	if a.sender != nil && a.sender.revoked() { // while a hook was thinking
		return storage.Prepared{}, b.refusal(ErrRevoked)
	}
	asked.App, asked.Channel, asked.Session, asked.Amends, asked.EventID, asked.Target =
		req.App, req.Channel, req.Session, req.Amends, req.EventID, target
	if asked.UserID != req.UserID && asked.UserID != "" {
		if err := CheckUserID(asked.UserID); err != nil {
			return storage.Prepared{}, b.refusal(err)
		}
	}
	a.anyVersion = asked.Version == nil
	amendment, err := a.make(&asked)
	if err != nil {
		return storage.Prepared{}, err
	}
	amendment.Options = storage.AppendOptions{Retention: a.rule.retention(a.kind), Floor: b.floor(&a.channel),
		IdempotencyKey: asked.OperationID, RequestHash: hash}
	return storage.Prepared{Channel: a.channel.id, Event: amendment.Event, Options: amendment.Options, Amendment: amendment}, nil
}

// make makes the amendment, and the event that announces it.
func (a *amending) make(req *AmendRequest) (*storage.Amendment, error) {
	b, target := a.broker, &req.Target
	version := target.Version
	if req.Version != nil {
		version = *req.Version
	}
	m := &storage.Amendment{Kind: req.Amends, Target: req.EventID, Version: version}
	said := AmendmentData{ID: req.EventID, Version: version + 1, OperationID: req.OperationID}
	var whole []byte // the target's data afterwards
	switch req.Amends {
	case storage.Edit:
		data, err := amendedData(req)
		if err != nil {
			return nil, b.refusal(err)
		}
		m.Data, whole = data, data
		if said.Data = json.RawMessage(data); !target.JSON {
			said.Data = text(data)
		}
	case storage.Extend:
		if !utf8.Valid(req.Data) && !req.JSON {
			return nil, b.refusal(&FieldError{Field: "data", Problem: "is not valid UTF-8: a character must not be cut in two"})
		}
		if target.JSON {
			return nil, b.refusal(&FieldError{Field: "id", Value: req.EventID, Problem: "is an event that carries JSON, to which no text can be added"})
		}
		data, err := amendedData(req)
		if err != nil {
			return nil, b.refusal(err)
		}
		added := string(data)
		m.Data, said.Text = data, &added
		if whole, err = a.extended(target, data); err != nil {
			return nil, err
		}
	}
	if len(whole) > b.maxEventBytes {
		return nil, b.refusal(&FieldError{Field: "data", Problem: "is too large", Limit: b.maxEventBytes, Got: len(whole)})
	}
	ev := &Event{ID: b.ids.next(), Name: b.names.of(req.Amends), Channel: req.Channel, Data: said.encode(),
		Amends: req.Amends, Target: req.EventID, Version: said.Version, UserID: req.UserID, Time: time.Now()}
	m.Event = ev
	if a.kind.Base() == Encrypted {
		var err error
		if ev.Data, err = b.sealed(a.channel.id, ev.Data); err != nil {
			return nil, err
		}
		if req.Amends != storage.Retract {
			// What is sealed is sealed as a whole.
			if whole, err = b.sealed(a.channel.id, whole); err != nil {
				return nil, err
			}
			m.Kind, m.Data = storage.Edit, whole
		}
	}
	if err := b.fits(req.Channel, ev.Name, ev.UserID, ev.Data, false); err != nil {
		return nil, err
	}
	return m, b.fits(req.Channel, target.Name, target.UserID, whole, target.JSON)
}

// amendedData returns the data of a request in the shape that the target has.
func amendedData(req *AmendRequest) ([]byte, error) {
	data := req.Data
	switch {
	case req.Target.JSON || req.JSON:
		if !json.Valid(data) {
			return nil, &FieldError{Field: "data", Problem: "is not valid JSON"}
		}
		var plain string
		if !req.Target.JSON && json.Unmarshal(data, &plain) == nil {
			return []byte(plain), nil
		}
	}
	return data, nil
}

// extended returns the target's data with what is added to it.
func (a *amending) extended(target *Event, added []byte) ([]byte, error) {
	data := target.Data
	// Of what was retracted only the store knows whether this is a retry.
	if a.kind.Base() == Encrypted && !target.Retracted {
		c := a.broker.cipher.Load()
		if c == nil {
			return nil, fmt.Errorf("%w: channel %q", ErrNoCipher, a.channel.id.Name)
		}
		opened, err := (*c).Open(a.channel.id.App, a.channel.id.Name, data)
		if err != nil {
			return nil, fmt.Errorf("open event %s of channel %q: %w", target.ID, a.channel.id.Name, err)
		}
		data = opened
	}
	return slices.Concat(data, added), nil
}

// sealed encrypts data for a channel.
func (b *Broker) sealed(ch ChannelID, data []byte) ([]byte, error) {
	c := b.cipher.Load()
	if c == nil {
		return nil, fmt.Errorf("%w: channel %q", ErrNoCipher, ch.Name)
	}
	sealed, err := (*c).Seal(ch.App, ch.Name, data)
	if err != nil {
		return nil, fmt.Errorf("seal event for channel %q: %w", ch.Name, err)
	}
	return sealed, nil
}

// target reads the event to amend.
func (b *Broker) target(ctx context.Context, ch ChannelID, id string) (Event, error) {
	ev, err := b.history.(storage.Amend).Target(ctx, ch, id)
	switch {
	case err == nil || errors.Is(err, errors.ErrUnsupported):
		return ev, err
	case isAmendRefused(err):
		b.stats.refused.Add(1)
		return ev, err
	}
	return ev, b.storeFailed("history look-up", ch, err)
}

// isAmendRefused reports whether an amendment was refused for what its target is.
func isAmendRefused(err error) bool {
	return errors.Is(err, storage.ErrNoTarget) || errors.Is(err, storage.ErrRetracted) || errors.Is(err, storage.ErrStaleVersion)
}

// amendHash says what the ID of an operation stands for.
func amendHash(req *AmendRequest) (hash [32]byte) {
	h := sha256.New()
	frame := []byte{0, byte(req.Amends)} // no request to publish begins so
	for _, text := range [...]string{req.EventID, req.UserID} {
		frame = binary.LittleEndian.AppendUint64(frame, uint64(len(text)))
		frame = append(frame, text...)
	}
	h.Write(frame)
	h.Write(req.Data)
	h.Sum(hash[:0])
	return hash
}

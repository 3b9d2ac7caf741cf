package broker

import (
	"context"
	"errors"

	"github.com/carillon-rt/carillon/ratelimit"
	"github.com/carillon-rt/carillon/storage"
)

// Amended is the outcome of an amendment.
type Amended struct {
	// Position is that of the event which announces the amendment.
	Position Position
	// Version is the target's after it: how often it has been amended.
	Version uint64
	// Duplicate says that the operation had been done: nothing was changed, and Position
	// and Version are those of the first time. Version is 0 if the store does not know
	// it any more.
	Duplicate bool
}

// AmendOption changes how an event is amended.
type AmendOption func(*AmendRequest)

// IfVersion refuses the amendment with a *storage.StaleVersionError if the event has
// another version: somebody else has amended it meanwhile. 0 is that of an event as it
// was published. Without it an amendment is made of whatever the event is by then.
func IfVersion(version uint64) AmendOption {
	return func(r *AmendRequest) { r.Version = &version }
}

// OperationID makes a retry of the same amendment within 5 minutes a no-op, which
// returns the first outcome. It is up to MaxOperationID bytes long, and shares the
// channel's idempotency keys: used for something else it is refused with a
// *storage.KeyReusedError. Subscribers are told it.
func OperationID(id string) AmendOption {
	return func(r *AmendRequest) { r.OperationID = id }
}

// ByUser amends in the name of a user, as AsUser publishes. Whether that user may amend
// is not checked.
func ByUser(userID string) AmendOption {
	return func(r *AmendRequest) { r.UserID = userID }
}

// Edit replaces the data of an event that is in the channel's history. The event is named
// by its ID: see Published.ID and WithID.
//
// An amendment is an event itself: it has a position of its own and is handed out to all
// subscribers, under the name of WithAmendmentNames, with AmendmentData as JSON. Clients
// that know nothing of amendments see an event whose name they do not know. From then on
// History returns the event in its new state, at its old place, and a rewind and a cache
// channel do so as well. The log, which Log asks for, has it as it was published, with
// the amendments behind it; who resumes gets that. A data that was replaced stays in the
// log until the retention removes it: what must go is retracted.
//
// The hook Amend is asked, and Published tells of the event that announces the
// amendment. It counts as a publish against rate limits. A rule's Publishers does not
// keep the server from amending, so that it can moderate what clients say. On an
// encrypted channel data is given unsealed, and replaced sealed.
//
// Errors wrap storage.ErrNoTarget if the history has no event with this ID,
// storage.ErrRetracted, storage.ErrStaleVersion, storage.ErrKeyReused, ErrNotKept, or
// errors.ErrUnsupported if the store amends nothing; otherwise they are those of Publish.
func (a *App) Edit(ctx context.Context, channel, eventID string, data []byte, opts ...AmendOption) (Amended, error) {
	return a.amend(ctx, storage.Edit, channel, eventID, data, opts)
}

// Retract removes the data of an event from the store, with that of all amendments there
// have been of it. The event stays in its place, with Retracted set and without data;
// subscribers that get it as part of the past get what announces the retraction instead,
// and a rewind leaves it out. Otherwise it is as Edit.
func (a *App) Retract(ctx context.Context, channel, eventID string, opts ...AmendOption) (Amended, error) {
	return a.amend(ctx, storage.Retract, channel, eventID, nil, opts)
}

// Append adds text to the end of an event's data: an answer that is written while it is
// read. Subscribers are sent what was added only. Events that carry JSON cannot be added
// to, and JSON text is none any more with something behind it: publish plain text. What is
// added is UTF-8 of whole characters, as subscribers are told it by itself. The
// data may not get longer than WithMaxEventBytes allows. On an encrypted channel each
// append seals all of it anew. Otherwise it is as Edit.
func (a *App) Append(ctx context.Context, channel, eventID string, text []byte, opts ...AmendOption) (Amended, error) {
	return a.amend(ctx, storage.Extend, channel, eventID, text, opts)
}

// PrepareEdit is to Edit what Prepare is to Publish. Nothing is read again when the
// amendment is appended: if the event has been amended in between, AppendTx returns a
// *storage.StaleVersionError, and the amendment has to be prepared anew.
func (a *App) PrepareEdit(ctx context.Context, channel, eventID string, data []byte, opts ...AmendOption) (storage.Prepared, error) {
	return a.prepareAmendment(ctx, storage.Edit, channel, eventID, data, opts)
}

// PrepareRetract is to Retract what PrepareEdit is to Edit.
func (a *App) PrepareRetract(ctx context.Context, channel, eventID string, opts ...AmendOption) (storage.Prepared, error) {
	return a.prepareAmendment(ctx, storage.Retract, channel, eventID, nil, opts)
}

// PrepareAppend is to Append what PrepareEdit is to Edit.
func (a *App) PrepareAppend(ctx context.Context, channel, eventID string, text []byte, opts ...AmendOption) (storage.Prepared, error) {
	return a.prepareAmendment(ctx, storage.Extend, channel, eventID, text, opts)
}

func (a *App) amendRequest(kind storage.AmendKind, channel, eventID string, data []byte, opts []AmendOption) AmendRequest {
	req := AmendRequest{App: a.id, Channel: channel, Amends: kind, EventID: eventID, Data: data, Allowed: true}
	for _, opt := range opts {
		opt(&req)
	}
	return req
}

func (a *App) prepareAmendment(ctx context.Context, kind storage.AmendKind, channel, eventID string, data []byte, opts []AmendOption) (storage.Prepared, error) {
	req := a.amendRequest(kind, channel, eventID, data, opts)
	t := a.broker.amendTrace(&req)
	m, err := a.broker.amending(&req, ratelimit.Publish)
	var prepared storage.Prepared
	if err == nil {
		prepared, err = m.accept(ctx, &req)
	}
	if t.Err = err; err != nil {
		a.broker.observers.publishRefused(ctx, &t)
	}
	return prepared, err
}

func (a *App) amend(ctx context.Context, kind storage.AmendKind, channel, eventID string, data []byte, opts []AmendOption) (Amended, error) {
	req := a.amendRequest(kind, channel, eventID, data, opts)
	return a.broker.amend(ctx, &req, func(ctx context.Context) (Amended, error) {
		m, err := a.broker.amending(&req, ratelimit.Publish)
		if err != nil {
			return Amended{}, err
		}
		return m.do(ctx, &req)
	})
}

// amend lets observers see an amendment as a publish of what announces it.
func (b *Broker) amend(ctx context.Context, req *AmendRequest, do func(context.Context) (Amended, error)) (out Amended, err error) {
	if !b.observers.any() {
		return do(ctx)
	}
	_, err = b.observers.publish(ctx, b.amendTrace(req), func(ctx context.Context) (Published, error) {
		out, err = do(ctx)
		return Published{Position: out.Position, Duplicate: out.Duplicate}, err
	})
	return out, err
}

// amendTrace describes an amendment that is to be made, for observers.
func (b *Broker) amendTrace(req *AmendRequest) PublishTrace {
	return PublishTrace{App: req.App, Channel: req.Channel, Event: b.names.of(req.Amends), Bytes: len(req.Data), Session: req.Session}
}

// do amends, from whatever version there is unless one was asked for: then it tries again
// when another was faster, until ctx ends.
func (a *amending) do(ctx context.Context, req *AmendRequest) (Amended, error) {
	b := a.broker
	for {
		p, err := a.accept(ctx, req)
		if err != nil {
			return Amended{}, err
		}
		out, err := b.history.(storage.Amend).Amend(ctx, p.Channel, *p.Amendment)
		if errors.Is(err, storage.ErrStaleVersion) && a.anyVersion {
			continue
		}
		if isAmendRefused(err) {
			b.stats.refused.Add(1)
			return Amended{}, err
		}
		done, err := b.stored(ctx, &a.channel, p.Event, &p.Options, out.Appended, err)
		return Amended{Position: done.Position, Version: out.Version, Duplicate: done.Duplicate}, err
	}
}

// Amend amends an event for the session's client, if a hook allows it: without one no
// client amends anything. The client has to be subscribed to the channel, which has to
// be one that relays client events. Only Channel, Amends, EventID, Data, JSON, Version
// and OperationID of req are taken from the caller; Data is taken over.
//
// What announces the amendment goes to all subscribers, the client itself included: by
// OperationID it knows that it was done. The amendment counts as a client event against
// rate limits. Errors are those of App.Edit and of ClientEvent.
func (s *Session) Amend(ctx context.Context, req AmendRequest) error {
	req.App, req.Session = s.app, s
	_, err := s.broker.amend(ctx, &req, func(ctx context.Context) (Amended, error) { return s.amend(ctx, &req) })
	return err
}

func (s *Session) amend(ctx context.Context, req *AmendRequest) (Amended, error) {
	b := s.broker
	sender, err := s.sender(req.Channel)
	if err != nil {
		return Amended{}, err
	}
	req.UserID, req.Allowed = sender.userID, false
	m, err := b.amending(req, ratelimit.ClientEvent)
	if err != nil {
		return Amended{}, err
	}
	m.sender = &sender
	m.limit.IP, m.limit.Session = s.ip, s.id
	if user := s.User(); user != nil {
		m.limit.User = user.ID
	}
	return m.do(ctx, req)
}

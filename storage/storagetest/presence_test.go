package storagetest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/memory"
)

// brokenPresence is a memory store that does what its fields say.
type brokenPresence struct {
	storage.Presence
	join    func(ch *storage.ChannelID, m *storage.Member, opts *storage.JoinOptions)
	joined  func(*storage.Joined)
	leave   func(*storage.Departure)
	members func([]storage.Member)
	lease   func(*time.Duration)
	expired func(*[]storage.Departure)
	seen    func([]time.Time)
	changed func(*[]storage.PresenceChange)
}

func (b *brokenPresence) Join(ctx context.Context, ch storage.ChannelID, conn storage.Connection, m storage.Member, opts storage.JoinOptions) (storage.Joined, error) {
	if b.join != nil {
		b.join(&ch, &m, &opts)
	}
	joined, err := b.Presence.Join(ctx, ch, conn, m, opts)
	if b.joined != nil && err == nil {
		b.joined(&joined)
	}
	return joined, err
}

func (b *brokenPresence) Leave(ctx context.Context, ch storage.ChannelID, conn storage.Connection) (storage.Departure, error) {
	d, err := b.Presence.Leave(ctx, ch, conn)
	if b.leave != nil {
		b.leave(&d)
	}
	return d, err
}

func (b *brokenPresence) Members(ctx context.Context, ch storage.ChannelID) (storage.Roster, error) {
	roster, err := b.Presence.Members(ctx, ch)
	if b.members != nil {
		b.members(roster.Members)
	}
	return roster, err
}

func (b *brokenPresence) Renew(ctx context.Context, node string, lease time.Duration) (bool, error) {
	if b.lease != nil {
		b.lease(&lease)
	}
	return b.Presence.Renew(ctx, node, lease)
}

func (b *brokenPresence) Expire(ctx context.Context) ([]storage.Departure, error) {
	departures, err := b.Presence.Expire(ctx)
	if b.expired != nil {
		b.expired(&departures)
	}
	return departures, err
}

func (b *brokenPresence) LastSeen(ctx context.Context, ch storage.ChannelID, userIDs []string) ([]time.Time, error) {
	seen, err := b.Presence.LastSeen(ctx, ch, userIDs)
	if b.seen != nil {
		b.seen(seen)
	}
	return seen, err
}

func (b *brokenPresence) Changes(ctx context.Context, ch storage.ChannelID, since storage.Position) ([]storage.PresenceChange, error) {
	changes, err := b.Presence.Changes(ctx, ch, since)
	if b.changed != nil && len(changes) > 0 {
		b.changed(&changes)
	}
	return changes, err
}

// WatchPresence tells of the beginning, and of nothing after.
func (b *brokenPresence) WatchPresence(ctx context.Context, notify func(storage.PresenceChange)) error {
	notify(storage.PresenceChange{})
	<-ctx.Done()
	return ctx.Err()
}

// Capabilities implements storage.Capable.
func (b *brokenPresence) Capabilities() storage.Capabilities {
	return storage.CapabilitiesOf(b.Presence)
}

func TestBrokenPresenceIsCaught(t *testing.T) {
	for name, broken := range map[string]brokenPresence{
		"MembersAreUsersNotConnections": {joined: func(j *storage.Joined) { j.First = true }},
		"ConcurrentJoinsHaveOneFirst":   {joined: func(j *storage.Joined) { j.First = true }},
		"ConcurrentLeavesHaveOneLast":   {leave: func(d *storage.Departure) { d.Last = true }},
		"OrderOfJoining":                {members: func(m []storage.Member) { slices.Reverse(m) }},
		"EveryUserAndInfoIsKept":        {join: func(_ *storage.ChannelID, m *storage.Member, _ *storage.JoinOptions) { m.Info = nil }},
		"InfoOfFirstConnectionIsKept":   {members: func(m []storage.Member) { m[0].Info = []byte(`{"tab":2}`) }},
		"MemberLimit":                   {join: func(_ *storage.ChannelID, _ *storage.Member, opts *storage.JoinOptions) { opts.MaxMembers = 0 }},
		"ConcurrentJoinsKeepLimit":      {join: func(_ *storage.ChannelID, _ *storage.Member, opts *storage.JoinOptions) { opts.MaxMembers++ }},
		"ChannelsAndAppsAreApart":       {join: func(ch *storage.ChannelID, _ *storage.Member, _ *storage.JoinOptions) { ch.App = "" }},
		"LastSeen":                      {seen: func(at []time.Time) { clear(at) }},
		"LeaseEnds":                     {lease: func(lease *time.Duration) { *lease *= 2 }},
		"LeaseIsRenewed":                {lease: func(lease *time.Duration) { *lease /= 2 }},
		"LeaveOrExpireDepartsOnce":      {leave: func(d *storage.Departure) { d.Last = false }},
		"BatchesOfLookUps":              {seen: func(at []time.Time) { slices.Reverse(at) }},
		"EveryChangeHasARevision":       {joined: func(j *storage.Joined) { j.Prev = j.Revision }},
		"JoinAnswersMembers": {join: func(_ *storage.ChannelID, _ *storage.Member, opts *storage.JoinOptions) {
			opts.Known = storage.Position{}
		}},
		"ChangesSinceARevision": {changed: func(c *[]storage.PresenceChange) { *c = (*c)[1:] }},
		"ExpiredChangesHaveRevisions": {expired: func(d *[]storage.Departure) {
			for i := range *d {
				(*d)[i].Count = 0
			}
		}},
		"ConcurrentChangesHaveOneOrder":    {leave: func(d *storage.Departure) { d.Revision = d.Prev }},
		"OccupiedAndVacatedTakeTurns":      {leave: func(d *storage.Departure) { d.Count = 1 }},
		"WatchTellsOfChanges":              {},
		"RenewSaysWhetherTheLeaseWasHeld":  {lease: func(lease *time.Duration) { *lease += time.Hour }},
		"ConcurrentExpiresShareDepartures": {expired: func(d *[]storage.Departure) { *d = append(*d, *d...) }},
	} {
		t.Run(name, func(t *testing.T) {
			requireCaught(t, presenceChecks(), name, func(tb testing.TB, c clock) *presenceTest {
				broken.Presence = memory.New(memory.WithShared())
				return newPresenceTest(tb, &broken, c)
			})
		})
	}
}

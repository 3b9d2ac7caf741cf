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
	join    func(ch *storage.ChannelID, m *storage.Member, limit *int)
	first   func(*bool)
	leave   func(*storage.Departure)
	members func([]storage.Member)
	lease   func(*time.Duration)
	expired func(*[]storage.Departure)
	seen    func(*time.Time)
}

func (b *brokenPresence) Join(ctx context.Context, ch storage.ChannelID, conn storage.Connection, m storage.Member, limit int) (bool, error) {
	if b.join != nil {
		b.join(&ch, &m, &limit)
	}
	first, err := b.Presence.Join(ctx, ch, conn, m, limit)
	if b.first != nil && err == nil {
		b.first(&first)
	}
	return first, err
}

func (b *brokenPresence) Leave(ctx context.Context, ch storage.ChannelID, conn storage.Connection) (storage.Departure, error) {
	d, err := b.Presence.Leave(ctx, ch, conn)
	if b.leave != nil {
		b.leave(&d)
	}
	return d, err
}

func (b *brokenPresence) Members(ctx context.Context, ch storage.ChannelID) ([]storage.Member, error) {
	members, err := b.Presence.Members(ctx, ch)
	if b.members != nil {
		b.members(members)
	}
	return members, err
}

func (b *brokenPresence) Renew(ctx context.Context, node string, lease time.Duration) error {
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

func (b *brokenPresence) LastSeen(ctx context.Context, ch storage.ChannelID, userID string) (time.Time, error) {
	seen, err := b.Presence.LastSeen(ctx, ch, userID)
	if b.seen != nil {
		b.seen(&seen)
	}
	return seen, err
}

func TestBrokenPresenceIsCaught(t *testing.T) {
	for name, broken := range map[string]brokenPresence{
		"MembersAreUsersNotConnections":    {first: func(first *bool) { *first = true }},
		"ConcurrentJoinsHaveOneFirst":      {first: func(first *bool) { *first = true }},
		"ConcurrentLeavesHaveOneLast":      {leave: func(d *storage.Departure) { d.Last = true }},
		"OrderOfJoining":                   {members: func(m []storage.Member) { slices.Reverse(m) }},
		"EveryUserAndInfoIsKept":           {join: func(_ *storage.ChannelID, m *storage.Member, _ *int) { m.Info = nil }},
		"InfoOfFirstConnectionIsKept":      {members: func(m []storage.Member) { m[0].Info = []byte(`{"tab":2}`) }},
		"MemberLimit":                      {join: func(_ *storage.ChannelID, _ *storage.Member, limit *int) { *limit = 0 }},
		"ConcurrentJoinsKeepLimit":         {join: func(_ *storage.ChannelID, _ *storage.Member, limit *int) { *limit++ }},
		"ChannelsAndAppsAreApart":          {join: func(ch *storage.ChannelID, _ *storage.Member, _ *int) { ch.App = "" }},
		"LastSeen":                         {seen: func(at *time.Time) { *at = time.Time{} }},
		"LeaseEnds":                        {lease: func(lease *time.Duration) { *lease *= 2 }},
		"LeaseIsRenewed":                   {lease: func(lease *time.Duration) { *lease /= 2 }},
		"LeaveOrExpireDepartsOnce":         {leave: func(d *storage.Departure) { d.Last = false }},
		"ConcurrentExpiresShareDepartures": {expired: func(d *[]storage.Departure) { *d = append(*d, *d...) }},
	} {
		t.Run(name, func(t *testing.T) {
			requireCaught(t, presenceChecks(), name, func(tb testing.TB, c clock) *presenceTest {
				broken.Presence = memory.New()
				return newPresenceTest(tb, &broken, c)
			})
		})
	}
}

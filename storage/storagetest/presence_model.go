package storagetest

import (
	"slices"
	"strconv"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/carillon-rt/carillon/storage"
)

// presenceModel is who has to be on which channel, as simply as can be said.
type presenceModel struct {
	now      time.Duration
	channels []storage.ChannelID
	members  map[storage.ChannelID][]*modelMember
	seen     map[modelSeen]time.Time
	leases   map[string]time.Duration // when a node's lease ends
	changes  map[storage.ChannelID][]storage.PresenceChange
}

type modelMember struct {
	storage.Member
	conns []storage.Connection
}

type modelSeen struct {
	channel storage.ChannelID
	userID  string
}

var modelUsers = [...]string{"ann", "bob", "eve"}

func checkPresenceModel(t *presenceTest) {
	rapid.Check(t, func(rt *rapid.T) {
		app := unique(t.app)
		m := &presenceModel{
			channels: []storage.ChannelID{{App: app, Name: "presence-room"}, {App: app}},
			members:  make(map[storage.ChannelID][]*modelMember),
			seen:     make(map[modelSeen]time.Time),
			leases:   make(map[string]time.Duration),
			changes:  make(map[storage.ChannelID][]storage.PresenceChange),
		}
		channel := rapid.SampledFrom(m.channels)
		node := rapid.SampledFrom([]string{app + "-a", app + "-b"})
		conn := rapid.Custom(func(rt *rapid.T) storage.Connection {
			name := node.Draw(rt, "node")
			return storage.Connection{Node: name, ID: name + strconv.Itoa(rapid.IntRange(1, 4).Draw(rt, "conn"))}
		})
		actions := map[string]func(*rapid.T){
			"join": func(rt *rapid.T) {
				t.modelJoin(rt, m, channel.Draw(rt, "channel"), conn.Draw(rt, "conn"))
			},
			"leave": func(rt *rapid.T) {
				t.modelLeave(rt, m, channel.Draw(rt, "channel"), conn.Draw(rt, "conn"))
			},
			"renew": func(rt *rapid.T) {
				lease := time.Duration(rapid.SampledFrom([]int{0, 1, 3, 9}).Draw(rt, "lease in ticks")) * t.clock.tick
				if !t.clock.exact() && lease > 0 {
					lease = time.Hour
				}
				name := node.Draw(rt, "node")
				held, err := t.store.Renew(t.ctx, name, lease)
				require.NoError(rt, err)
				end, leased := m.leases[name]
				require.Equal(rt, leased && m.now < end, held, "whether the lease was held")
				m.leases[name] = m.now + lease
			},
			"": func(rt *rapid.T) { t.modelExpire(rt, m) },
		}
		if t.clock.exact() {
			actions["time passes"] = func(rt *rapid.T) {
				d := t.clock.tick * time.Duration(2*rapid.IntRange(1, 3).Draw(rt, "ticks/2"))
				t.clock.advance(d)
				m.now += d
			}
		}
		rt.Repeat(actions)
	})
}

// find returns the member that a connection belongs to, and nil if it is not
// there.
func (m *presenceModel) find(ch storage.ChannelID, conn storage.Connection) *modelMember {
	for _, member := range m.members[ch] {
		if slices.Contains(member.conns, conn) {
			return member
		}
	}
	return nil
}

func (m *presenceModel) member(ch storage.ChannelID, userID string) *modelMember {
	for _, member := range m.members[ch] {
		if member.UserID == userID {
			return member
		}
	}
	return nil
}

// disconnect takes a connection away and reports whether its member left.
func (m *presenceModel) disconnect(ch storage.ChannelID, conn storage.Connection) (last bool) {
	member := m.find(ch, conn)
	member.conns = slices.DeleteFunc(member.conns, func(c storage.Connection) bool { return c == conn })
	if len(member.conns) > 0 {
		return false
	}
	m.members[ch] = slices.DeleteFunc(m.members[ch], func(other *modelMember) bool { return other == member })
	return true
}

func (t *presenceTest) modelJoin(rt *rapid.T, m *presenceModel, ch storage.ChannelID, conn storage.Connection) {
	who := storage.Member{
		UserID: rapid.SampledFrom(modelUsers[:]).Draw(rt, "user"),
		Info:   []byte(strconv.Itoa(rapid.IntRange(0, 9).Draw(rt, "info"))),
	}
	if member := m.find(ch, conn); member != nil {
		// A connection has one user on a channel.
		who.UserID = member.UserID
	}
	limit := rapid.IntRange(0, len(modelUsers)).Draw(rt, "limit")
	opts := storage.JoinOptions{MaxMembers: limit, Members: rapid.Bool().Draw(rt, "members")}
	if changes := m.changes[ch]; len(changes) > 0 && rapid.Bool().Draw(rt, "known") {
		opts.Known = rapid.SampledFrom(changes).Draw(rt, "revision").Revision
	}
	joined, err := t.store.Join(t.ctx, ch, conn, who, opts)

	member := m.member(ch, who.UserID)
	if member == nil && limit > 0 && len(m.members[ch]) >= limit {
		require.ErrorIs(rt, err, storage.ErrMemberLimit)
		return
	}
	require.NoError(rt, err)
	require.Equal(rt, member == nil, joined.First, "Joined.First")
	if member == nil {
		member = &modelMember{Member: who}
		m.members[ch] = append(m.members[ch], member)
		m.change(rt, storage.PresenceChange{Channel: ch, Member: who, Joined: true, Count: joined.Count, Revision: joined.Revision, Prev: joined.Prev})
	} else {
		m.unchanged(rt, ch, joined.Revision, joined.Prev)
	}
	require.Equal(rt, len(m.members[ch]), joined.Count, "Joined.Count")
	require.Equal(rt, member.conns == nil && joined.Count == 1, joined.Occupied(), "Joined.Occupied")
	if !opts.Members || opts.Known == joined.Prev {
		require.Nil(rt, joined.Members)
	} else {
		m.requireMembers(rt, ch, joined.Members)
	}
	if !slices.Contains(member.conns, conn) {
		member.conns = append(member.conns, conn)
	}
}

func (t *presenceTest) modelLeave(rt *rapid.T, m *presenceModel, ch storage.ChannelID, conn storage.Connection) {
	d, err := t.store.Leave(t.ctx, ch, conn)
	require.NoError(rt, err)
	member := m.find(ch, conn)
	if member == nil {
		require.Zero(rt, d)
		return
	}
	require.Equal(rt, ch, d.Channel)
	requireSameMember(rt, member.Member, d.Member)
	require.Equal(rt, m.disconnect(ch, conn), d.Last, "Departure.Last")
	require.Equal(rt, len(m.members[ch]), d.Count, "Departure.Count")
	if !d.Last {
		m.unchanged(rt, ch, d.Revision, d.Prev)
	}
	if d.Last {
		m.change(rt, d.Change())
		m.seen[modelSeen{ch, member.UserID}] = d.Time
	}
}

// modelExpire expires what is due and then compares all that can be asked for.
func (t *presenceTest) modelExpire(rt *rapid.T, m *presenceModel) {
	departures, err := t.store.Expire(t.ctx)
	require.NoError(rt, err)
	departures = t.own(departures)
	for _, ch := range m.channels {
		var users []string
		for _, member := range slices.Clone(m.members[ch]) {
			for _, conn := range slices.Clone(member.conns) {
				end, leased := m.leases[conn.Node]
				if leased && m.now >= end && m.disconnect(ch, conn) {
					users = append(users, member.UserID)
				}
			}
		}
		requireDeparted(rt, departures, ch, users...)
		for _, d := range departures {
			m.seen[modelSeen{d.Channel, d.Member.UserID}] = d.Time
			if d.Channel == ch {
				m.change(rt, d.Change())
			}
		}
		t.requireModel(rt, m, ch)
	}
}

// change notes a change, whose revision must be the next.
func (m *presenceModel) change(rt *rapid.T, c storage.PresenceChange) {
	require.True(rt, c.Revision.After(c.Prev), "the revision %v after %v", c.Revision, c.Prev)
	if changes := m.changes[c.Channel]; len(changes) > 0 {
		switch before := changes[len(changes)-1]; {
		case before.Count > 0:
			require.Equal(rt, before.Revision, c.Prev, "a change names the one before")
		default:
			require.False(rt, c.Prev.Before(before.Revision), "a change names the one before, or a later beginning of a channel that nobody was on")
		}
	}
	m.changes[c.Channel] = append(m.changes[c.Channel], c)
}

// unchanged requires revisions of a call that has changed no member.
func (m *presenceModel) unchanged(rt *rapid.T, ch storage.ChannelID, revision, prev storage.Position) {
	changes := m.changes[ch]
	require.Equal(rt, changes[len(changes)-1].Revision, revision, "the revision when nothing has changed")
	require.Equal(rt, revision, prev, "the revision before, when nothing has changed")
}

func (m *presenceModel) requireMembers(rt *rapid.T, ch storage.ChannelID, members []storage.Member) {
	require.Len(rt, members, len(m.members[ch]), "members of %v", ch)
	for i, want := range m.members[ch] {
		requireSameMember(rt, want.Member, members[i])
	}
}

func (t *presenceTest) requireModel(rt *rapid.T, m *presenceModel, ch storage.ChannelID) {
	roster, err := t.store.Members(t.ctx, ch)
	require.NoError(rt, err)
	m.requireMembers(rt, ch, roster.Members)
	counts, err := t.store.Counts(t.ctx, []storage.ChannelID{ch})
	require.NoError(rt, err)
	require.Equal(rt, len(m.members[ch]), counts[0].Members, "Counts of %v", ch)
	changes := m.changes[ch]
	if len(m.members[ch]) > 0 {
		require.Equal(rt, changes[len(changes)-1].Revision, roster.Revision, "Roster.Revision")
		require.Equal(rt, roster.Revision, counts[0].Revision, "Count.Revision")
	}
	if len(changes) > 0 {
		i := rapid.IntRange(0, len(changes)-1).Draw(rt, "since")
		t.requireChanges(rt, ch, changes[i].Revision, changes[i+1:])
	}
	are, err := t.store.AreMembers(t.ctx, ch, modelUsers[:])
	require.NoError(rt, err)
	seen, err := t.store.LastSeen(t.ctx, ch, modelUsers[:])
	require.NoError(rt, err)
	for i, id := range modelUsers {
		require.Equal(rt, m.member(ch, id) != nil, are[i], "AreMembers of %q on %v", id, ch)
		want := m.seen[modelSeen{ch, id}]
		if are[i] {
			want = time.Time{}
		}
		require.WithinDuration(rt, want, seen[i], time.Millisecond, "LastSeen of %q on %v", id, ch)
	}
}

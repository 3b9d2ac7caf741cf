package linearizability

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/anishathalye/porcupine"

	"github.com/carillon-rt/carillon/storage"
)

// Presence checks concurrent joins, leaves and looks.
func Presence(t *testing.T, store storage.Presence) {
	t.Helper()
	for range rounds {
		p := &presenceRun{t: t, store: store, ch: storage.ChannelID{App: unique("app"), Name: "presence-room"}, node: unique("node")}
		run(t, presenceModel.ToModel(), p.client)
	}
}

type presenceRun struct {
	t     testing.TB
	store storage.Presence
	ch    storage.ChannelID
	node  string
}

type joinCall struct{ conn, user string }

type leaveCall struct{ conn string }

type lookCall struct{}

// change is what a join or a leave answers.
type change struct {
	first, last, full, unknown bool
	user                       string
	count                      int
	revision, prev             storage.Position
	members                    []string
}

type look struct {
	members  []string
	revision storage.Position
	unknown  bool
}

const maxMembers = 2 // so that somebody is refused

func (p *presenceRun) client(client int, random *rand.Rand, r *recorder) {
	conn := strconv.Itoa(random.IntN(4))
	switch random.IntN(5) {
	case 0, 1:
		in := joinCall{conn, "user" + conn[:1]}
		if conn > "1" {
			in.user = "shared"
		}
		r.call(client, in, func() (any, bool) { return p.join(in) })
	case 2, 3:
		r.call(client, leaveCall{conn}, func() (any, bool) {
			d, err := p.store.Leave(p.t.Context(), p.ch, storage.Connection{Node: p.node, ID: conn})
			return change{last: d.Last, unknown: err != nil, user: d.Member.UserID, count: d.Count, revision: d.Revision, prev: d.Prev}, err == nil
		})
	default:
		r.call(client, lookCall{}, func() (any, bool) {
			roster, err := p.store.Members(p.t.Context(), p.ch)
			return look{names(roster.Members), roster.Revision, err != nil}, true
		})
	}
}

func (p *presenceRun) join(in joinCall) (any, bool) {
	j, err := p.store.Join(p.t.Context(), p.ch, storage.Connection{Node: p.node, ID: in.conn}, storage.Member{UserID: in.user},
		storage.JoinOptions{MaxMembers: maxMembers, Members: true})
	full := errors.Is(err, storage.ErrMemberLimit)
	unknown := err != nil && !full
	return change{first: j.First, full: full, unknown: unknown, count: j.Count, revision: j.Revision, prev: j.Prev, members: names(j.Members)}, !unknown
}

func names(members []storage.Member) (all []string) {
	for _, m := range members {
		all = append(all, m.UserID)
	}
	return all
}

// presenceState is a channel. It is never changed.
type presenceState struct {
	users    []string   // in the order they joined
	conns    []joinCall // in any order
	revision storage.Position
}

var presenceModel = porcupine.NondeterministicModel{
	Init: func() []any { return []any{presenceState{}} },
	Step: func(state, input, output any) []any {
		s := state.(presenceState)
		switch in := input.(type) {
		case joinCall:
			return s.join(in, output.(change))
		case leaveCall:
			return s.leave(in, output.(change))
		default:
			out := output.(look)
			if out.unknown || slices.Equal(out.members, s.users) && s.may(out.revision) {
				return []any{s}
			}
			return nil
		}
	},
	Equal: func(a, b any) bool {
		x, y := a.(presenceState), b.(presenceState)
		return x.revision == y.revision && slices.Equal(x.users, y.users) && slices.Equal(x.conns, y.conns)
	},
	DescribeOperation: describe,
}

// may reports whether a revision is the channel's. It is not known after a call
// that failed, and one that nobody is on may take a later one.
func (s presenceState) may(revision storage.Position) bool {
	return s.revision.IsZero() || s.revision == revision || len(s.users) == 0 && revision.After(s.revision)
}

func (s presenceState) join(in joinCall, out change) []any {
	there := slices.Contains(s.conns, in)
	first := !slices.Contains(s.users, in.user)
	if first && len(s.users) >= maxMembers {
		if out.full || out.unknown {
			return []any{s}
		}
		return nil
	}
	after := s
	if !there {
		after.conns = append(slices.Clip(s.conns), in)
		slices.SortFunc(after.conns, func(a, b joinCall) int { return int(a.conn[0]) - int(b.conn[0]) })
	}
	if first {
		after.users = append(slices.Clip(s.users), in.user)
	}
	if out.unknown {
		if first {
			after.revision = storage.Position{}
		}
		return []any{s, after}
	}
	if out.full || out.first != first || out.count != len(after.users) || !slices.Equal(out.members, after.users) {
		return nil
	}
	return s.to(after, first, out)
}

func (s presenceState) leave(in leaveCall, out change) []any {
	i := slices.IndexFunc(s.conns, func(c joinCall) bool { return c.conn == in.conn })
	if i < 0 {
		if out.unknown || out.user == "" {
			return []any{s}
		}
		return nil
	}
	user, after := s.conns[i].user, s
	after.conns = slices.Concat(s.conns[:i], s.conns[i+1:])
	last := !slices.ContainsFunc(after.conns, func(c joinCall) bool { return c.user == user })
	if last {
		after.users = slices.DeleteFunc(slices.Clone(s.users), func(id string) bool { return id == user })
	}
	if out.unknown {
		if last {
			after.revision = storage.Position{}
		}
		return []any{s, after}
	}
	if out.user != user || out.last != last || out.count != len(after.users) {
		return nil
	}
	return s.to(after, last, out)
}

// to checks the revisions of a change, if it is one.
func (s presenceState) to(after presenceState, changed bool, out change) []any {
	if !s.may(out.prev) || changed != out.revision.After(out.prev) || !changed && out.revision != out.prev {
		return nil
	}
	after.revision = out.revision
	return []any{after}
}

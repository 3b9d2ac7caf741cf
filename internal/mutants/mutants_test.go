package mutants

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	order  = "broker/arrive.go"
	place  = "broker/order.go"
	keep   = "broker/append.go"
	core   = "internal/cursor/cursor.go"
	reads  = "internal/cursor/read.go"
	past   = "broker/past.go"
	events = "broker/accept.go"
	watch  = "broker/shared_history.go"
)

// mutant is a rule that is broken: old, which stands in the file once, becomes new.
type mutant struct{ rule, file, old, new string }

var mutants = []mutant{
	{"a hole is closed by reading", order, "	if k := c.kept; k.timer == nil && !k.reading {", "	if k := c.kept; false && k.timer == nil {"},
	{"a failed read is tried again", order, "		c.readAfter(k.retry)", ""},
	{"who opens a channel knows where it stands, or says a gap", core, "		c.move(ev.Position)\n		return NextAfterGap", "		c.move(ev.Position)\n		return Next"},
	{"a publisher that found nobody looks again", keep, "	out, err := b.history.Append(ctx, ch.id, ev, *opts)\n",
		"	nobody := b.channels.find(ch) == nil\n	out, err := b.history.Append(ctx, ch.id, ev, *opts)\n	if nobody && err == nil {\n		return Published{Position: out.Position}, nil\n	}\n"},
	{"publish returns when the cursor has passed", keep, "		if waiter == nil {", "		if true {"},
	{"a channel without subscribers releases all", place, "	k.ReleaseAll()", ""},
	{"a gap is told", order, "	c.handOut(&delivery{gap: gap, notice: GapNotice{c.id.Name, at}})", ""},
	{"a duplicate is a position without an event", keep, "			waiter, there = c.arrivePosition(ev.Position, true)", "			return nil"},
	{"keys of failed appends stay", order, "		c.failed.add(opts.IdempotencyKey)", ""},
	{"stores keep a floor for the fill", order, ", Fill: true}", "}"},
	{"a failed append may land late", order, "	k.doubt, k.check = time.Now().Add(orderDoubt), 0", "	k.doubt, k.check = time.Now(), 0"},
	{"a failed append is looked for though a read had failed before", order, "		k.retry = 0 // what a read could not decide came by itself", ""},
	{"a stale answer decides nothing", reads, "{ return r.heard.After(latest) }", "{ return false }"},
	{"a gap that events have overtaken is none", reads, " || r.From != c.last {", " {"},
	{"a joiner's page reaches the cursor", past, "	old := q.reach.After(latest)", "	old := false"},
	{"positions of what overflows are kept", core, "	c.hear(ev.Position)\n	c.park(ev)",
		"	if n := len(c.parked); true {\n		c.park(ev)\n		if len(c.parked) > n {\n			c.hear(ev.Position)\n		}\n	}"},
	{"whom an event is kept from travels with it", events, "Exclude: p.req.ExcludeSocketID, ", ""},
	{"an event that was handed out is dropped", core, "	if !ev.Position.After(c.last) {\n		return Passed", "	if !ev.Position.After(c.last) {\n		return Next"},
	{"only the next is handed out", core, "	if ev.Follows(c.last) {", "	if ev.Position.After(c.last) {"},
	{"positions are looked at now and then", watch, "				c.arrivePosition(latest[i], false)", "				_, _ = c, latest[i]"},
	{"who subscribes gets nothing twice", past, "		if q.after != nil {\n			q.seen = *q.after\n		}\n		q.end(nil)", "		q.end(nil)"},
}

const root = "../.."

func TestEveryRuleIsWhereItWas(t *testing.T) {
	for _, m := range mutants {
		source, err := os.ReadFile(filepath.Join(root, m.file))
		require.NoError(t, err)
		assert.Equal(t, 1, strings.Count(string(source), m.old), "%s: %q in %s", m.rule, m.old, m.file)
	}
}

package console

import (
	"math/bits"
	"time"

	"github.com/carillon-rt/carillon/broker"
)

// storeFailure is the last failure of the store.
type storeFailure struct {
	At   int64  `json:"at"`
	Op   string `json:"op"`
	Text string `json:"text"`
}

// totals are counts since the server was started.
type totals struct {
	Published         int64 `json:"published"`
	Delivered         int64 `json:"delivered"`
	Connected         int64 `json:"connected"`
	Refused           int64 `json:"refused"`
	SlowSessions      int64 `json:"slowSessions"`
	SlowInProcess     int64 `json:"slowInProcess"`
	Gaps              int64 `json:"gaps"`
	StoreErrors       int64 `json:"storeErrors"`
	StoreTimeouts     int64 `json:"storeTimeouts"`
	StorePanics       int64 `json:"storePanics"`
	HooksDropped      int64 `json:"hooksDropped"`
	HookPanics        int64 `json:"hookPanics"`
	ObserverPanics    int64 `json:"observerPanics"`
	RewindsCut        int64 `json:"rewindsCut"`
	Resumed           int64 `json:"resumed"`
	ResumeGaps        int64 `json:"resumeGaps"`
	BudgetCuts        int64 `json:"budgetCuts"`
	WebhooksDelivered int64 `json:"webhooksDelivered"`
	WebhooksRetried   int64 `json:"webhooksRetried"`
	WebhooksDropped   int64 `json:"webhooksDropped"`
}

func totalsOf(s broker.Stats) totals {
	return totals{Published: s.Published, Delivered: s.Delivered, Connected: s.Connected, Refused: s.Refused,
		SlowSessions: s.SlowSessions, SlowInProcess: s.SlowInProcess, Gaps: s.Gaps, StoreErrors: s.StoreErrors,
		StoreTimeouts: s.StoreTimeouts, StorePanics: s.StorePanics, HooksDropped: s.HooksDropped, HookPanics: s.HookPanics,
		ObserverPanics: s.ObserverPanics, RewindsCut: s.RewindsCut, Resumed: s.Resumed, ResumeGaps: s.ResumeGaps, BudgetCuts: s.BudgetCuts}
}

type storeState struct {
	OK        bool          `json:"ok"`
	LastError *storeFailure `json:"lastError,omitempty"`
}

// ownState is what the console says of itself.
type ownState struct {
	Viewers     int    `json:"viewers"`
	Armed       int    `json:"armed"`
	Dropped     uint64 `json:"droppedEvents"`
	NotRecorded int64  `json:"notRecorded"`
}

type nowJSON struct {
	At       int64         `json:"at"`
	Figures  figures       `json:"figures"`
	Totals   totals        `json:"totals"`
	Refusals []refusal     `json:"refusals"`
	Slow     []slowSession `json:"slow"`
	Errors   []fault       `json:"errors"`
	Store    storeState    `json:"store"`
	Console  ownState      `json:"console"`
}

// now is what there is at this moment.
func (c *Console) now(a *attached) nowJSON {
	latest := c.series.latest()
	_, _, dropped := c.journal.bounds()
	out := nowJSON{At: latest.At, Figures: latest.figures, Totals: totalsOf(a.broker.Stats()), Refusals: c.refusals.list(),
		Slow: c.slow.latest(), Errors: c.faults.latest(), Store: storeState{c.storeWell.Load(), c.storeFailure.Load()},
		Console: ownState{c.viewers.count(), c.traces.count(), dropped, c.notRecorded()}}
	if latest.At == 0 {
		out.At = millis(time.Now())
		s := a.broker.Stats()
		out.Figures.Sessions, out.Figures.Channels = s.Sessions, s.Channels
		out.Figures.Memory, out.Figures.Goroutines = readRuntime()
	}
	w := c.webhooks.totals()
	out.Totals.WebhooksDelivered, out.Totals.WebhooksRetried, out.Totals.WebhooksDropped = w.Delivered, w.Retried, w.Dropped
	return out
}

func (c *Console) nowOf(k *call) (any, error) { return c.now(k.attached), nil }

// notRecorded is how many published events are not in the log, since nobody looked or the log
// could not take more. Other kinds are counted as soon as they are left out.
func (c *Console) notRecorded() int64 {
	a := c.attached.Load()
	if a == nil {
		return 0
	}
	return max(a.broker.Stats().Published-a.published-c.recorded.Load(), 0) + c.overQuota.Load()
}

// samplesPerSecond is how many events are watched on their way to the sockets at most, or
// half as many, as far as a second is like the one before.
const samplesPerSecond = 20

// tick does what is due every second, until the console is closed.
func (c *Console) tick(a *attached) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		c.second(a)
		select {
		case <-c.closing:
			return
		case <-ticker.C:
		}
	}
}

func (c *Console) second(a *attached) {
	now := reading{at: time.Now(), stats: a.broker.Stats()}
	if a.handler != nil {
		now.traffic = a.handler.Traffic()
	}
	published := c.series.add(now, c.latency.take())
	every := uint64(max(published/samplesPerSecond, 1))
	c.sampling.Store(1<<bits.Len64(every-1) - 1)
	c.idle.Store(int64(c.limits.IdlePerSecond))
	c.quota.Store(int64(c.limits.PerSecond))
	c.traces.refresh(a.broker, now.at)
	c.wantsChanged()
}

// wantsChanged looks again whether anybody wants to see all that is published.
func (c *Console) wantsChanged() {
	c.wants.Lock()
	defer c.wants.Unlock()
	c.looking.Store(c.viewers.looking() || c.traces.count() > 0 || time.Since(time.Unix(0, c.lookedAt.Load())) < looked)
}

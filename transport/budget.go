package transport

import (
	"cmp"
	"errors"
	"slices"
	"sync"
	"unsafe"
)

// ErrBudget ends a connection whose queue was the largest when all queues together
// held more than their Budget.
var ErrBudget = errors.New("queues hold more than their budget: the largest was cut off")

// BudgetAllowance is how many bytes a queue may hold before a Budget counts it, so that
// small queues cost nothing.
const BudgetAllowance = 64 << 10

// Budget bounds how many bytes the queues that share it hold together. A message that
// is in several of them counts once. Over the budget, the queues that hold most are cut
// off, until an eighth of the budget is free; what several queues share is divided
// among them for that. It is safe for concurrent use.
//
// Queues note how much they hold in steps of BudgetAllowance, and what they share is
// computed only when the sum of all is over the limit.
type Budget struct {
	relief sync.WaitGroup

	mu sync.Mutex
	// What follows is guarded by mu.
	limit    int64 // 0 until it is known
	accounts map[*Account]int64
	sum      int64 // of accounts, shared bytes counted each time
	grown    int64 // how much was added since the last relief
	wait     int64 // how much has to be, before the limit can be reached
	busy     bool  // relieve runs
	cut      int64
}

// NewBudget returns a budget of so many bytes. Below 1 it is a quarter of the
// soft limit of the Go runtime (GOMEMLIMIT) or, without one, of the memory of the
// machine or the container; where that cannot be found out, it is 1 GiB.
func NewBudget(bytes int64) *Budget {
	return &Budget{limit: max(bytes, 0), accounts: make(map[*Account]int64)}
}

// BudgetStats are figures of a Budget.
type BudgetStats struct {
	// Limit is the budget in bytes, 0 as long as no queue has held more than
	// BudgetAllowance and it was left to NewBudget.
	Limit int64
	// Queues is how many queues hold more than BudgetAllowance, and Bytes about how
	// much they hold, what they share counted for each.
	Queues int
	Bytes  int64
	// Cut is how many queues were cut off.
	Cut int64
}

// Stats returns the budget's figures.
func (b *Budget) Stats() BudgetStats {
	b.mu.Lock()
	defer b.mu.Unlock()
	return BudgetStats{Limit: b.limit, Queues: len(b.accounts), Bytes: b.sum, Cut: b.cut}
}

// Wait returns when nothing is being cut off any more.
func (b *Budget) Wait() { b.relief.Wait() }

// Holder is a queue that takes part in a Budget. Its methods are called with no
// lock held.
type Holder interface {
	// Held yields what the queue holds as it lies in memory, piece by piece. What
	// several queues share starts at the same address in each.
	Held(yield func(piece []byte) bool)
	// Release ends the queue's connection at once, and empties the queue.
	Release(err error)
}

// Account is one queue's entry in a Budget. The zero Account belongs to none. Its
// methods are to be called under the queue's own lock.
type Account struct {
	budget  *Budget
	holder  Holder
	counted int // 0, or at least BudgetAllowance
}

// Open adds the account to b; nil is no budget.
func (a *Account) Open(b *Budget, h Holder) { a.budget, a.holder = b, h }

// Set notes how many bytes the queue holds, and reports whether the budget counts the
// queue. It need not be called with less than BudgetAllowance, unless it has returned
// true before. A queue that has ended calls it with 0.
func (a *Account) Set(size int) (counted bool) {
	// Less than a step up or down, in one comparison: so this is inlined.
	if uint(size-a.counted+BudgetAllowance-1) < 2*BudgetAllowance-1 {
		return a.counted > 0
	}
	return a.set(size)
}

func (a *Account) set(size int) (counted bool) {
	if size < BudgetAllowance {
		size = 0
	}
	if a.budget == nil {
		return false
	}
	a.budget.change(a, size-a.counted)
	a.counted = size
	return size > 0
}

// change counts more or less bytes for a queue.
func (b *Budget) change(a *Account, by int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sum += int64(by)
	if b.accounts[a] += int64(by); b.accounts[a] == 0 {
		delete(b.accounts, a)
	}
	if by < 0 {
		return
	}
	if b.limit == 0 {
		b.limit = memory() / 4
	}
	b.grown += int64(by)
	if b.due() && !b.busy {
		b.busy = true
		// Not here: the caller holds the lock of its queue.
		b.relief.Go(b.relieve)
	}
}

// due says whether the queues may hold more than the limit. The caller holds mu.
func (b *Budget) due() bool { return b.sum > b.limit && b.grown >= b.wait }

// relieve cuts off queues until there is no need.
func (b *Budget) relieve() {
	for due := true; due; {
		due = b.look()
	}
}

// look finds out how much the queues hold, and cuts off as many as need be. It
// says whether so much was added meanwhile that it has to look again.
func (b *Budget) look() (again bool) {
	b.mu.Lock()
	limit := b.limit
	b.grown = 0
	queues := make([]held, 0, len(b.accounts))
	for a := range b.accounts {
		queues = append(queues, held{holder: a.holder})
	}
	b.mu.Unlock()

	all := pieces{least: limit >> 16, refs: make(map[*byte]int)}
	for _, q := range queues {
		all.take(q.holder)
	}
	cut := int64(0)
	if all.bytes > limit {
		for i := range queues {
			queues[i].share = all.share(queues[i].holder)
		}
		slices.SortFunc(queues, func(a, b held) int { return cmp.Compare(b.share, a.share) })
		for i := 0; i < len(queues) && all.bytes > limit-limit/8; i++ {
			all.release(queues[i].holder)
			queues[i].holder.Release(ErrBudget)
			cut++
		}
	}

	b.mu.Lock()
	defer b.mu.Unlock()
	b.cut += cut
	// What the queues hold grows by no more than is added to them.
	b.wait = max(limit-all.bytes, limit/64)
	b.busy = b.due()
	return b.busy
}

type held struct {
	holder Holder
	share  int64
}

// pieces counts what queues hold by where it lies. Of small pieces, of which there
// may be very many, it looks at a sample only, the same in each queue.
type pieces struct {
	least int64 // smaller pieces are sampled
	refs  map[*byte]int
	bytes int64
}

// sampled is how many small pieces one stands for: one of so many addresses.
const sampled = 64

// weigh returns for how many bytes a piece stands, which may be none.
func (p *pieces) weigh(piece []byte) (at *byte, bytes int64) {
	at, bytes = unsafe.SliceData(piece), int64(len(piece))
	if bytes >= p.least {
		return at, bytes
	}
	if uint64(uintptr(unsafe.Pointer(at)))*0x9e3779b97f4a7c15>>58 != 0 {
		return at, 0
	}
	return at, bytes * sampled
}

func (p *pieces) take(h Holder) {
	for piece := range h.Held {
		at, bytes := p.weigh(piece)
		if bytes == 0 {
			continue
		}
		if p.refs[at]++; p.refs[at] == 1 {
			p.bytes += bytes
		}
	}
}

// share is how much a queue holds, where others hold it too in equal parts.
func (p *pieces) share(h Holder) (share int64) {
	for piece := range h.Held {
		if at, bytes := p.weigh(piece); bytes > 0 && p.refs[at] > 0 {
			share += bytes / int64(p.refs[at])
		}
	}
	return share
}

func (p *pieces) release(h Holder) {
	for piece := range h.Held {
		at, bytes := p.weigh(piece)
		if bytes == 0 || p.refs[at] == 0 {
			continue
		}
		if p.refs[at]--; p.refs[at] == 0 {
			p.bytes -= bytes
		}
	}
}

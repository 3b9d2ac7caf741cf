package storagetest

import (
	"context"
	"fmt"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/storage"
)

// historyTest is what one check of a History works with.
type historyTest struct {
	testing.TB
	ctx   context.Context
	store storage.History
	caps  storage.Capabilities
	clock clock
	app   string
}

func newHistoryTest(t testing.TB, store storage.History, c clock) *historyTest {
	return &historyTest{TB: t, ctx: t.Context(), store: store, caps: storage.CapabilitiesOf(store), clock: c, app: unique("app")}
}

func historyChecks() []check[*historyTest] {
	return []check[*historyTest]{
		{"PositionsRise", checkPositions},
		{"EveryFieldIsKept", checkFields},
		{"BigPayloadIsKept", checkBigPayload},
		{"StoreKeepsItsOwnCopy", checkOwnCopy},
		{"ZeroEventsKeepsNone", checkZeroEvents},
		{"RetentionByCount", checkRetentionCount},
		{"SmallerRetentionTrimsAtOnce", checkSmallerRetention},
		{"LargerRetentionBringsNothingBack", checkLargerRetention},
		{"NegativeCountsAsZero", checkNegative},
		{"RetentionByAge", checkRetentionAge},
		{"SmallerAgeTrimsAtOnce", checkSmallerAge},
		{"ExpiredChannelReusesNoPosition", checkExpiredChannel},

		{"FillIsKeptBeyondTheRetention", checkFill},
		{"FillEndsWhereNothingIsKept", checkFillEnds},

		{"UnknownChannel", checkUnknownChannel},
		{"PositionBeforeTheFirstEvent", checkFirstPosition},
		{"LatestOfMany", checkLatestOfMany},
		{"ReadForward", checkReadForward},
		{"ReadBackward", checkReadBackward},
		{"ReadFromPosition", checkReadFrom},
		{"ReadPageByPage", checkReadPages},
		{"ReadLongHistory", checkReadLong},
		{"ReadIsBoundedInBytes", checkReadBytes},
		{"ReadInclusive", checkReadInclusive},
		{"ReadFromLatestIsNoGap", checkReadFromLatest},
		{"GapWhereTrimmed", checkGapTrimmed},
		{"GapInAnotherEpoch", checkGapEpoch},
		{"GapBeyondLatest", checkGapFuture},
		{"BackwardEndsWhereTrimmed", checkBackwardTrimmed},
		{"DeleteForgetsEvents", checkDelete},
		{"DeleteForgetsKeys", checkDeleteKeys},

		{"KeyIsUsedOnce", checkKey},
		{"EveryKeyIsRemembered", checkKeysAll},
		{"KeyIsOfItsChannel", checkKeyPerChannel},
		{"KeyOutlivesItsEvent", checkKeyOutlivesEvent},
		{"KeyIsForgottenAfterItsWindow", checkKeyWindow},
		{"KeyIsOfItsRequest", checkKeyRequest},
		{"ConcurrentAppendsWithOneKey", checkKeyConcurrent},
		{"ConcurrentRequestsWithOneKey", checkKeyRequestsConcurrent},

		{"FloorThatIsReached", checkFloorReached},
		{"FloorAboveLatestStartsEpoch", checkFloor},
		{"FloorOfNewerEpoch", checkFloorEpoch},
		{"EpochsGoOnWhereTheyEnded", checkManyEpochs},

		{"BatchKeepsItsOrder", checkBatch},
		{"BatchFailsItemByItem", checkBatchOutcomes},
		{"ConcurrentBatches", checkConcurrentBatches},

		{"WatchTellsOfAppends", checkWatch},
		{"ChannelsAndAppsAreApart", checkHistoryIsolation},
		{"ConcurrentAppends", checkConcurrentAppends},
		{"ReadersSeeAppendsInOrder", checkConcurrentReaders},
		{"ReadersAreToldWhatIsTrimmed", checkConcurrentTrims},
		{"ConcurrentDeletes", checkConcurrentDeletes},
		{"DoneContext", checkHistoryContext},
		{"Model", checkHistoryModel},
	}
}

// channel returns a channel of the check's own app.
func (t *historyTest) channel(name string) storage.ChannelID {
	return storage.ChannelID{App: t.app, Name: name}
}

// event returns an event with nothing special about it but its data.
func event(ch storage.ChannelID, data string) *storage.Event {
	return &storage.Event{ID: unique("event"), Name: "message", Channel: ch.Name, Data: []byte(data)}
}

// keep are the options of an append to a channel that keeps n events.
func keep(n int) storage.AppendOptions {
	return storage.AppendOptions{Retention: storage.Retention{Events: n}}
}

// keyed are the options of an append with a key to a channel that keeps enough.
func keyed(key string) storage.AppendOptions {
	opts := keep(100)
	opts.IdempotencyKey = key
	return opts
}

func (t *historyTest) append(ch storage.ChannelID, data string, opts storage.AppendOptions) storage.Appended {
	t.Helper()
	out, err := t.store.Append(t.ctx, ch, event(ch, data), opts)
	require.NoError(t, err, "Append to %v", ch)
	return out
}

// fill appends events with the data "1" to "n". It returns the position before
// them and that of each, so that event i has the index i.
func (t *historyTest) fill(ch storage.ChannelID, n int, opts storage.AppendOptions) []storage.Position {
	t.Helper()
	positions := []storage.Position{t.latest(ch)}
	for i := 1; i <= n; i++ {
		positions = append(positions, t.append(ch, strconv.Itoa(i), opts).Position)
	}
	return positions
}

func (t *historyTest) read(ch storage.ChannelID, opts storage.ReadOptions) storage.Page {
	t.Helper()
	page, err := t.store.Read(t.ctx, ch, opts)
	require.NoError(t, err, "Read of %v with %+v", ch, opts)
	return page
}

func (t *historyTest) latest(ch storage.ChannelID) storage.Position {
	t.Helper()
	pos, err := storage.LatestOf(t.ctx, t.store, ch)
	require.NoError(t, err, "Latest of %v", ch)
	require.False(t, pos.IsZero(), "Latest of %v has an epoch", ch)
	return pos
}

// requireKept requires that the channel keeps exactly the events with this data.
func (t *historyTest) requireKept(ch storage.ChannelID, data ...string) {
	t.Helper()
	require.Equal(t, data, texts(t.read(ch, storage.ReadOptions{})), "data of the events kept, oldest first")
}

// requireGap requires that a read fails with a GapError, and returns it.
func (t *historyTest) requireGap(ch storage.ChannelID, opts storage.ReadOptions) *storage.GapError {
	t.Helper()
	page, err := t.store.Read(t.ctx, ch, opts)
	require.ErrorIs(t, err, storage.ErrGap, "Read of %v with %+v returned %+v", ch, opts, page)
	var gap *storage.GapError
	require.ErrorAs(t, err, &gap)
	require.Equal(t, ch, gap.Channel, "GapError.Channel")
	require.Equal(t, opts.From, gap.From, "GapError.From")
	return gap
}

// texts returns the data of a page's events; it is nil if there are none.
func texts(page storage.Page) []string {
	var all []string
	for i := range page.Events {
		all = append(all, string(page.Events[i].Data))
	}
	return all
}

// at returns the position with another offset in the same epoch.
func at(p storage.Position, offset uint64) storage.Position {
	p.Offset = offset
	return p
}

// ahead returns a position of the same epoch that has not been given yet.
func ahead(p storage.Position, by uint64) storage.Position { return at(p, p.Offset+by) }

// last returns the last of some positions.
func last(positions []storage.Position) storage.Position { return positions[len(positions)-1] }

// followPage is follow for a page that was read from a position which may be the
// beginning of an older epoch than that of the channel's first event.
func followPage(from storage.Position, page []storage.Event) error {
	if len(page) > 0 && from.Offset == 0 && page[0].Position.Epoch.Compare(from.Epoch) > 0 {
		return follow(page[0].Position, page[1:])
	}
	return follow(from, page)
}

// follow returns an error unless each event is the next after the one before, and
// the first is the next after a position.
func follow(from storage.Position, events []storage.Event) error {
	for i := range events {
		if ev := &events[i]; !ev.Follows(from) || !ev.Position.After(from) {
			return fmt.Errorf("the event at %v, which says that %v is before it, came next after %v", ev.Position, ev.Prev, from)
		}
		from = events[i].Position
	}
	return nil
}

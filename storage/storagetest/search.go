package storagetest

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/carillon-rt/carillon/storage"
)

// searchTest is what one check of a Search works with.
type searchTest struct {
	amendTest // whose amender may be nil
	searcher  storage.Search
}

// searches makes a check of one that is for stores which implement storage.Search only.
func searches(name string, run func(searchTest)) check[*historyTest] {
	return check[*historyTest]{name, func(t *historyTest) {
		if store, ok := t.store.(storage.Search); ok {
			_, err := store.Search(t.ctx, storage.SearchQuery{App: t.app, Text: "any"})
			if errors.Is(err, errors.ErrUnsupported) {
				return
			}
			amender, _ := t.store.(storage.Amend)
			run(searchTest{amendTest{t, amender}, store})
		}
	}}
}

func searchChecks() []check[*historyTest] {
	return []check[*historyTest]{
		searches("SearchFindsWords", checkSearchWords),
		searches("SearchNewestFirst", checkSearchOrder),
		searches("SearchPageByPage", checkSearchPages),
		searches("SearchRanked", checkSearchRanked),
		searches("SearchInChannels", checkSearchChannels),
		searches("SearchFindsWhatIsThere", checkSearchRetention),
		searches("SearchExpired", checkSearchAge),
		searches("SearchAmended", checkSearchAmended),
		searches("SearchRefusesBadQueries", checkSearchErrors),
		searches("SearchDoneContext", checkSearchContext),
		searches("SearchWhileOthersAppend", checkSearchConcurrent),
		searches("SearchModel", checkSearchModel),
	}
}

// find returns the data of what is found, page by page to the end.
func (t searchTest) find(q storage.SearchQuery) []string {
	t.Helper()
	found := []string{}
	for _, hit := range t.hits(q) {
		found = append(found, string(hit.Event.Data))
	}
	return found
}

func (t searchTest) hits(q storage.SearchQuery) []storage.Hit {
	t.Helper()
	if q.App == "" {
		q.App = t.app
	}
	var hits []storage.Hit
	for pages := 0; ; pages++ {
		page, err := t.searcher.Search(t.ctx, q)
		require.NoError(t, err, "Search for %+v", q)
		if q.MaxHits > 0 {
			require.LessOrEqual(t, len(page.Hits), q.MaxHits)
		}
		hits = append(hits, page.Hits...)
		if q.Next = page.Next; q.Next == "" {
			return hits
		}
		require.Less(t, pages, 1000, "a search ends")
	}
}

// later lets time pass on a clock that stands still, so that what comes is newer.
func (t searchTest) later() {
	if t.clock.exact() {
		t.clock.advance(t.clock.tick)
	}
}

func checkSearchWords(t searchTest) {
	ch := t.channel("room")
	texts := []string{
		"Hello, World!", "shell", `{"text":"say hello"}`, `{"hello":"there"}`, "你好，世界！", `{"text":"\u4f60\u597d\u5417"}`,
		"บอกว่าสวัสดีครับ", "熱いコーヒーをください", "naïve ÄRGER", "help yourself", "",
	}
	for _, text := range texts {
		t.append(ch, text, keep(100))
	}
	for _, c := range []struct {
		query string
		want  []string
		marks []string // of the first hit
	}{
		{"hello", []string{`{"text":"say hello"}`, "Hello, World!"}, []string{"hello"}},
		{"HELLO world", []string{"Hello, World!"}, []string{"Hello", "World"}},
		{"hel*", []string{"help yourself", `{"text":"say hello"}`, "Hello, World!"}, []string{"hel"}},
		{"hel", nil, nil},
		{"世界", []string{"你好，世界！"}, []string{"世界"}},
		{"你好", []string{`{"text":"\u4f60\u597d\u5417"}`, "你好，世界！"}, []string{`\u4f60\u597d`}},
		{"好", []string{`{"text":"\u4f60\u597d\u5417"}`, "你好，世界！"}, []string{`\u597d`}},
		{"好世", nil, nil},
		{"สวัสดี", []string{"บอกว่าสวัสดีครับ"}, []string{"สวัสดี"}},
		{"コーヒー", []string{"熱いコーヒーをください"}, []string{"コーヒー"}},
		{"ärger", []string{"naïve ÄRGER"}, []string{"ÄRGER"}},
		{"nothing", nil, nil},
		{"hello nothing", nil, nil},
	} {
		hits := t.hits(storage.SearchQuery{Text: c.query})
		var got, marks []string
		for i, hit := range hits {
			got = append(got, string(hit.Event.Data))
			for _, s := range hit.Highlights {
				if i == 0 {
					marks = append(marks, string(hit.Event.Data[s.Start:s.End]))
				}
			}
		}
		require.Equal(t, c.want, got, "found by %q", c.query)
		require.Equal(t, c.marks, marks, "highlights of %q", c.query)
	}
	for ev, hit := t.read(ch, storage.ReadOptions{}).Events[0], t.hits(storage.SearchQuery{Text: "world"})[0]; ; {
		requireSameEvent(t, ev, hit.Event)
		break
	}
}

func checkSearchOrder(t searchTest) {
	channels := []storage.ChannelID{t.channel("b"), t.channel("a"), t.channel("c")}
	var want []string
	for i := range 12 {
		text := "word " + strconv.Itoa(i)
		t.append(channels[i%len(channels)], text, keep(100))
		want = append([]string{text}, want...)
		t.later()
	}
	require.Equal(t, want, t.find(storage.SearchQuery{Text: "word"}), "newest first, over all channels")
}

func checkSearchPages(t searchTest) {
	channels := []storage.ChannelID{t.channel("a"), t.channel("b")}
	for i := range 23 {
		t.append(channels[i%len(channels)], fmt.Sprintf("word %d", i), keep(100))
		t.append(channels[i%len(channels)], fmt.Sprintf("other %d", i), keep(100))
		t.later()
	}
	for _, ranked := range []bool{false, true} {
		all := t.find(storage.SearchQuery{Text: "word", Ranked: ranked, MaxHits: 100})
		require.Len(t, all, 23)
		for _, n := range []int{1, 5, 22, 23} {
			require.Equal(t, all, t.find(storage.SearchQuery{Text: "word", Ranked: ranked, MaxHits: n}), "pages of %d, ranked: %v", n, ranked)
		}
		page, err := t.searcher.Search(t.ctx, storage.SearchQuery{App: t.app, Text: "word", Ranked: ranked})
		require.NoError(t, err)
		require.NotEmpty(t, page.Hits, "a store's own number of hits")
	}
	// What is new meanwhile does not move what is old.
	page, err := t.searcher.Search(t.ctx, storage.SearchQuery{App: t.app, Text: "word", MaxHits: 3})
	require.NoError(t, err)
	t.later()
	t.append(channels[0], "word new", keep(100))
	rest := t.find(storage.SearchQuery{Text: "word", MaxHits: 3, Next: page.Next})
	require.Len(t, rest, 20)
	require.Equal(t, "word 19", rest[0])
}

func checkSearchRanked(t searchTest) {
	ch := t.channel("room")
	t.append(ch, "tea tea tea", keep(100))
	t.append(ch, "tea and cake and biscuits and more of all that there is on the table", keep(100))
	t.append(ch, "tea time", keep(100))
	found := t.find(storage.SearchQuery{Text: "tea", Ranked: true})
	require.Equal(t, []string{"tea tea tea", "tea time"}, found[:2], "what is about it comes before what mentions it")
	require.Len(t, found, 3)
	t.append(ch, "milk 1", keep(100))
	t.append(ch, "milk 2", keep(100))
	require.Equal(t, []string{"milk 2", "milk 1"}, t.find(storage.SearchQuery{Text: "milk", Ranked: true}), "the newer of two that are equally good")
}

func checkSearchChannels(t searchTest) {
	for _, ch := range alike(t.app) {
		t.append(ch, "word in "+ch.String(), keep(100))
	}
	in := func(app string, channels ...string) (found []string) {
		t.Helper()
		for _, hit := range t.hits(storage.SearchQuery{App: app, Text: "word", Channels: channels}) {
			found = append(found, hit.Event.Channel)
		}
		return found
	}
	require.Equal(t, []string{"a"}, in(t.app, "a"))
	require.Equal(t, []string{"b"}, in(t.app+"/a"))
	require.Equal(t, []string{"a_b"}, in(t.app, "a_b"))
	require.ElementsMatch(t, []string{"a_b", "axb", "a/b", "a:b", "a.b"}, in(t.app, "a*b"))
	require.ElementsMatch(t, []string{"a_b", "A"}, in(t.app, "*_b", "A", "A*"))
	require.ElementsMatch(t, []string{"a:b", "a.b", "private-a@x=1,2;3"}, in(t.app, "a.b", "a:*", "private-*@*,*;3"))
	require.Empty(t, in(t.app, "b"))
	require.Empty(t, in(t.app, "%"))
	require.Empty(t, in(t.app, "a?b"))
	require.Empty(t, in(unique("app")))
	require.Len(t, in(t.app), 8)
	require.Len(t, in(t.app, "*"), 8)
}

func checkSearchRetention(t searchTest) {
	ch := t.channel("room")
	for i := range 5 {
		t.append(ch, fmt.Sprintf("word %d", i), keep(3))
	}
	require.Equal(t, []string{"word 4", "word 3", "word 2"}, t.find(storage.SearchQuery{Text: "word"}))
	t.append(ch, "other", keep(2))
	require.Equal(t, []string{"word 4"}, t.find(storage.SearchQuery{Text: "word"}))
	t.append(t.channel("none"), "word", keep(0))
	require.Equal(t, []string{"word 4"}, t.find(storage.SearchQuery{Text: "word"}))
	require.NoError(t, t.store.Delete(t.ctx, ch))
	require.Empty(t, t.find(storage.SearchQuery{Text: "word"}))
	t.append(ch, "word again", keep(2))
	require.Equal(t, []string{"word again"}, t.find(storage.SearchQuery{Text: "word"}))
}

func checkSearchAge(t searchTest) {
	ch := t.channel("room")
	opts := keep(10)
	opts.Retention.Age = short
	t.append(ch, "word", opts)
	if t.clock.exact() {
		require.Len(t, t.find(storage.SearchQuery{Text: "word"}), 1)
	}
	t.clock.until(t.TB, short, "expired: the event", func() bool { return len(t.find(storage.SearchQuery{Text: "word"})) == 0 })
}

func checkSearchAmended(t searchTest) {
	if t.amender == nil {
		return
	}
	ch := t.channel("room")
	t.publish(ch, "a", "first word", keep(10))
	t.publish(ch, "b", "second word", keep(10))
	t.amend(ch, amendment(ch, storage.Edit, "a", 0, "edited text", keep(10)))
	require.Equal(t, []string{"second word"}, t.find(storage.SearchQuery{Text: "word"}))
	hits := t.hits(storage.SearchQuery{Text: "edited"})
	require.Len(t, hits, 1, "the event, not the amendment")
	require.Equal(t, "edited text/1", showEvent(hits[0].Event))
	t.amend(ch, amendment(ch, storage.Extend, "a", 1, " and wo", keep(10)))
	t.amend(ch, amendment(ch, storage.Extend, "a", 2, "rds", keep(10)))
	require.Equal(t, []string{"edited text and words"}, t.find(storage.SearchQuery{Text: "words"}))
	require.Equal(t, []string{"second word", "edited text and words"}, t.find(storage.SearchQuery{Text: "word*"}), "an event stays where it was published")
	t.amend(ch, amendment(ch, storage.Retract, "a", 3, "", keep(10)))
	for _, text := range []string{"first", "edited", "words"} {
		require.Empty(t, t.find(storage.SearchQuery{Text: text}), "what was retracted")
	}
	// Of an event whose amendments were too many for the log.
	for i := range uint64(3 * storage.FillEvents) {
		t.amend(ch, amendment(ch, storage.Extend, "b", i, "x", keep(10)))
	}
	require.Len(t, t.find(storage.SearchQuery{Text: "second"}), 1)
	require.Empty(t, t.find(storage.SearchQuery{Text: "word"}))
}

func checkSearchErrors(t searchTest) {
	for _, q := range []storage.SearchQuery{
		{Text: ""}, {Text: "!"}, {Text: strings.Repeat("x", 10_000)}, {Text: strings.Repeat("a b ", 100)},
		{Text: "word", Next: "x"}, {Text: "word", Next: "\x00'\""}, {Text: "word", Ranked: true, Next: "x"},
	} {
		q.App = t.app
		_, err := t.searcher.Search(t.ctx, q)
		require.ErrorIs(t, err, storage.ErrBadQuery, "%+v", q)
		var bad *storage.QueryError
		require.ErrorAs(t, err, &bad)
	}
	t.append(t.channel("room"), `say "word" AND NOT (OR) near* {col}: ^`, keep(10))
	for _, text := range []string{`"word`, "word'", "word) OR (", "say AND word", "col:word", "NEAR(say word)", "^word", "-word", "NOT", "word\x00"} {
		if _, err := t.searcher.Search(t.ctx, storage.SearchQuery{App: t.app, Text: text}); err != nil {
			require.ErrorIs(t, err, storage.ErrBadQuery, "%q", text)
		}
	}
	require.Len(t, t.find(storage.SearchQuery{Text: `"word" AND (say`}), 1, "no text is a command")
}

func checkSearchContext(t searchTest) {
	for want, ctx := range doneContexts() {
		_, err := t.searcher.Search(ctx, storage.SearchQuery{App: t.app, Text: "word"})
		require.ErrorIs(t, err, want)
	}
}

func checkSearchConcurrent(t searchTest) {
	const writers, each = 3, 30
	ch := t.channel("room")
	require.NoError(t, together(writers+2, func(i int) error {
		for n := range each {
			if i < writers {
				if _, err := t.store.Append(t.ctx, ch, event(ch, fmt.Sprintf("word %d.%d", i, n)), keep(20)); err != nil {
					return err
				}
				continue
			}
			page, err := t.searcher.Search(t.ctx, storage.SearchQuery{App: t.app, Text: "word", MaxHits: 50, Ranked: i%2 == 0})
			if err != nil {
				return err
			}
			seen := make(map[string]bool)
			for _, hit := range page.Hits {
				text := string(hit.Event.Data)
				if seen[text] || !strings.HasPrefix(text, "word ") {
					return fmt.Errorf("found %q, after %v", text, seen)
				}
				seen[text] = true
			}
		}
		return nil
	}))
	require.Len(t, t.find(storage.SearchQuery{Text: "word"}), 20)
}

// checkSearchModel compares what is found with what a current read has.
func checkSearchModel(t searchTest) {
	letters := rapid.SampledFrom([]string{"ab", "abc", "b", "世界", "世", "界世", "x-ab", `{"ab":"b"}`})
	rapid.Check(t, func(rt *rapid.T) {
		ch := storage.ChannelID{App: unique("app"), Name: "room"}
		events := 0
		opts := keep(rapid.IntRange(1, 8).Draw(rt, "keep"))
		rt.Repeat(map[string]func(*rapid.T){
			"publish": func(rt *rapid.T) {
				text := strings.Join(rapid.SliceOfN(letters, 0, 3).Draw(rt, "text"), " ")
				_, err := t.store.Append(t.ctx, ch, &storage.Event{ID: strconv.Itoa(events), Channel: ch.Name, Data: []byte(text)}, opts)
				require.NoError(rt, err)
				events++
			},
			"amend": func(rt *rapid.T) {
				if t.amender == nil || events == 0 {
					return
				}
				id := strconv.Itoa(events - 1 - min(rapid.IntRange(0, 3).Draw(rt, "back"), events-1))
				is, err := t.amender.Target(t.ctx, ch, id)
				if err != nil {
					return
				}
				kind := rapid.SampledFrom([]storage.AmendKind{storage.Edit, storage.Extend, storage.Retract}).Draw(rt, "kind")
				_, err = t.amender.Amend(t.ctx, ch, amendment(ch, kind, id, is.Version, letters.Draw(rt, "text"), opts))
				if !errors.Is(err, storage.ErrRetracted) {
					require.NoError(rt, err)
				}
			},
			"search": func(rt *rapid.T) {
				text := rapid.SampledFrom([]string{"ab", "ab*", "abc", "b", "世", "世界", "ab b", "x"}).Draw(rt, "query")
				page, err := t.searcher.Search(t.ctx, storage.SearchQuery{App: ch.App, Text: text, MaxHits: 100})
				require.NoError(rt, err)
				all, err := t.store.Read(t.ctx, ch, storage.ReadOptions{Current: true, Backward: true})
				require.NoError(rt, err)
				var want []string
				for _, ev := range all.Events {
					if hasWords(ev, text) {
						want = append(want, ev.ID+showEvent(ev))
					}
				}
				var got []string
				for _, hit := range page.Hits {
					got = append(got, hit.Event.ID+showEvent(hit.Event))
				}
				require.Equal(rt, want, got, "found by %q", text)
			},
		})
	})
}

// hasWords says with other means than package words whether one of the model's texts has
// those of one of its queries.
func hasWords(ev storage.Event, query string) bool {
	text := strings.ReplaceAll(string(ev.Data), "-", " ")
	if !ev.Retracted && strings.Trim(text, " ") == `{"ab":"b"}` {
		text = "b"
	}
	separated := strings.NewReplacer(`{"ab":"b"}`, " ab b ", "世", " 世 ", "界", " 界 ").Replace(text)
	for word := range strings.FieldsSeq(query) {
		begins, isBegin := strings.CutSuffix(word, "*")
		ok := strings.ContainsAny(word, "世界") && strings.Contains(text, word)
		for is := range strings.FieldsSeq(separated) {
			ok = ok || is == word || isBegin && strings.HasPrefix(is, begins)
		}
		if !ok || ev.Retracted {
			return false
		}
	}
	return true
}

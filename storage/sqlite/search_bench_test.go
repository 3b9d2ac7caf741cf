package sqlite

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-rt/carillon/storage"
)

// BenchmarkSearch searches in a million messages of 1000 channels, as many as SEARCH_EVENTS
// says, and reports what one of a hundred searches takes longer than:
//
//	go test -run '^$' -bench Search -benchtime 500x -timeout 30m ./storage/sqlite
//
// Words are as frequent as in a language: the n-th in the order of frequency is n times
// rarer than the first.
func BenchmarkSearch(b *testing.B) {
	events := 1_000_000
	if text := os.Getenv("SEARCH_EVENTS"); text != "" {
		n, err := strconv.Atoi(text)
		require.NoError(b, err)
		events = n
	}
	path := filepath.Join(b.TempDir(), "carillon.db")
	began := time.Now()
	st := openFile(b, path, WithSearch())
	fillWithTalk(b, st, events)
	info, err := os.Stat(path)
	require.NoError(b, err)
	b.Logf("%d events in %v, %d bytes each", events, time.Since(began).Round(time.Second), info.Size()/int64(events))

	channel := func(i int) []string { return []string{fmt.Sprintf("room-%d", i%talkChannels)} }
	kinds := []struct {
		name string
		q    func(i int) storage.SearchQuery
	}{
		{"rare word", func(i int) storage.SearchQuery { return storage.SearchQuery{Text: talkWord(talkWords/2 + i%1000)} }},
		{"commonest word", func(i int) storage.SearchQuery { return storage.SearchQuery{Text: talkWord(i % 3)} }},
		{"two words", func(i int) storage.SearchQuery {
			return storage.SearchQuery{Text: talkWord(i%5) + " " + talkWord(100+i%1000)}
		}},
		{"prefix", func(i int) storage.SearchQuery {
			word := talkWord(i % 2000)
			return storage.SearchQuery{Text: word[:min(1+i%4, len(word))] + "*"}
		}},
		{"one channel", func(i int) storage.SearchQuery {
			return storage.SearchQuery{Text: talkWord(i % 200), Channels: channel(i * 7)}
		}},
		{"chinese", func(i int) storage.SearchQuery { return storage.SearchQuery{Text: talkHan(i % 500)} }},
	}
	for _, ranked := range []bool{false, true} {
		order := "newest"
		if ranked {
			order = "ranked"
		}
		var mix []time.Duration
		for _, kind := range kinds {
			b.Run(order+"/"+strings.ReplaceAll(kind.name, " ", "-"), func(b *testing.B) {
				var took []time.Duration
				hits := 0
				for i := range b.N {
					q := kind.q(i)
					q.App, q.MaxHits, q.Ranked = "app", 50, ranked
					start := time.Now()
					page, err := st.Search(b.Context(), q)
					took = append(took, time.Since(start))
					require.NoError(b, err)
					hits += len(page.Hits)
				}
				mix = append(mix, took...)
				reportTimes(b, took)
				b.ReportMetric(float64(hits)/float64(b.N), "hits")
			})
		}
		b.Run(order+"/the-mix", func(b *testing.B) { reportTimes(b, mix) })
	}
}

func reportTimes(b *testing.B, took []time.Duration) {
	if len(took) == 0 {
		return
	}
	sorted := slices.SortedFunc(slices.Values(took), cmp.Compare)
	b.ReportMetric(float64(sorted[len(sorted)/2])/1e6, "p50-ms")
	b.ReportMetric(float64(sorted[len(sorted)*99/100])/1e6, "p99-ms")
	b.ReportMetric(float64(sorted[len(sorted)-1])/1e6, "max-ms")
	b.ReportMetric(0, "ns/op")
}

const (
	talkChannels = 1000
	talkWords    = 50_000
)

// talkWord is the i-th in the order of frequency: the more frequent, the shorter.
func talkWord(i int) string {
	const consonants, vowels = "tnshrdlcmwfgypbvk", "eaoiu"
	var b strings.Builder
	for n := i + 20; n > 0; n /= len(consonants) * len(vowels) {
		b.WriteByte(consonants[n%len(consonants)])
		b.WriteByte(vowels[n/len(consonants)%len(vowels)])
	}
	return b.String()
}

// talkHan is a word of two Chinese characters.
func talkHan(i int) string { return string([]rune{rune(0x4e00 + i%100), rune(0x5000 + i/7)}) }

func fillWithTalk(b *testing.B, st *Store, events int) {
	r := rand.New(rand.NewPCG(1, 2))
	zipf := rand.NewZipf(r, 1.07, 1, talkWords-1)
	opts := storage.AppendOptions{Retention: storage.Retention{Events: 1 << 30}}
	var batch []storage.AppendRequest
	for i := range events {
		var text strings.Builder
		text.WriteString(`{"text":"`)
		if i%20 == 0 {
			for range 4 {
				text.WriteString(talkHan(r.IntN(500)))
			}
		} else {
			for n := range 4 + r.IntN(12) {
				if n > 0 {
					text.WriteByte(' ')
				}
				text.WriteString(talkWord(int(zipf.Uint64())))
			}
		}
		text.WriteString(`"}`)
		ch := storage.ChannelID{App: "app", Name: fmt.Sprintf("room-%d", r.IntN(talkChannels))}
		batch = append(batch, storage.AppendRequest{Channel: ch, Options: opts,
			Event: &storage.Event{ID: fmt.Sprintf("event-%d", i), Name: "message", UserID: "user", Data: []byte(text.String()), Time: time.Now()}})
		if len(batch) == 4096 || i == events-1 {
			for _, result := range st.AppendBatch(b.Context(), batch) {
				require.NoError(b, result.Err)
			}
			batch = batch[:0]
		}
	}
}

package storagetest

import (
	"context"
	"slices"
	"testing"

	"github.com/carillon-rt/carillon/storage"
	"github.com/carillon-rt/carillon/storage/memory"
)

// brokenSearch is a memory store that does what its fields say.
type brokenSearch struct {
	*memory.Store
	before func(ctx *context.Context, q *storage.SearchQuery)
	after  func(q storage.SearchQuery, page *storage.SearchPage, err *error)
}

func (b *brokenSearch) Search(ctx context.Context, q storage.SearchQuery) (storage.SearchPage, error) {
	asked := q
	if b.before != nil {
		b.before(&ctx, &asked)
	}
	page, err := b.Store.Search(ctx, asked)
	if b.after != nil {
		b.after(q, &page, &err)
	}
	return page, err
}

func TestBrokenSearchIsCaught(t *testing.T) {
	for name, broken := range map[string]brokenSearch{
		"SearchFindsWords": {after: func(_ storage.SearchQuery, page *storage.SearchPage, _ *error) {
			for i := range page.Hits {
				page.Hits[i].Highlights = page.Hits[i].Highlights[:1]
			}
		}},
		"SearchNewestFirst": {after: func(_ storage.SearchQuery, page *storage.SearchPage, _ *error) { slices.Reverse(page.Hits) }},
		"SearchPageByPage": {after: func(q storage.SearchQuery, page *storage.SearchPage, _ *error) {
			if len(page.Hits) > 1 && q.Next == "" {
				page.Hits = page.Hits[1:]
			}
		}},
		"SearchRanked":     {before: func(_ *context.Context, q *storage.SearchQuery) { q.Ranked = false }},
		"SearchInChannels": {before: func(_ *context.Context, q *storage.SearchQuery) { q.Channels = nil }},
		"SearchRefusesBadQueries": {before: func(_ *context.Context, q *storage.SearchQuery) {
			if q.Text == "" {
				q.Text = "word"
			}
		}},
		"SearchDoneContext": {before: func(ctx *context.Context, _ *storage.SearchQuery) { *ctx = context.WithoutCancel(*ctx) }},
		"SearchAmended": {after: func(_ storage.SearchQuery, page *storage.SearchPage, _ *error) {
			for i := range page.Hits {
				page.Hits[i].Event.Version = 0
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			requireCaught(t, searchChecks(), name, func(tb testing.TB, c clock) *historyTest {
				broken.Store = memory.New()
				return newHistoryTest(tb, &broken, c)
			})
		})
	}
}

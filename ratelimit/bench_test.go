package ratelimit

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/carillon-rt/carillon/internal/alloctest"
)

// never refused: for what an allowed action costs.
var wide = Limit{Rate: 1e6, Burst: 1e9}

func TestAllocations(t *testing.T) {
	ctx := context.Background()
	r := mustNew(t, nil, ConnectionsPerIP(wide.Rate, wide.Burst), PublishesPerApp(wide.Rate, wide.Burst), PayloadBytesPerApp(wide.Rate, wide.Burst),
		Rule{Name: "user in channel", Action: ClientEvent, Limit: wide, By: []Field{ByUser, ByChannel, ByIP}},
		Rule{Name: "refuses", Action: Subscribe, Limit: Limit{Rate: 1e-3, Burst: 1}})
	var b Bucket
	for _, c := range []struct {
		what   string
		budget float64
		f      func()
	}{
		{"bucket", 0, func() { b.Take(time.Now(), wide, 1) }},
		{"IPv4", 0, func() { _ = r.Check(ctx, Request{Action: Connect, IP: "192.0.2.1"}) }},
		{"IPv6", 0, func() { _ = r.Check(ctx, Request{Action: Connect, IP: "2001:db8::1"}) }},
		{"two rules", 0, func() { _ = r.Check(ctx, Request{Action: Publish, App: "app", Size: 10}) }},
		{"three fields", 0, func() {
			_ = r.Check(ctx, Request{Action: ClientEvent, User: "user-1", Channel: "private-chat", IP: "192.0.2.1"})
		}},
		{"no rule", 0, func() { _ = r.Check(ctx, Request{Action: SignIn, User: "user-1"}) }},
		{"refusal", 1, func() { _ = r.Check(ctx, Request{Action: Subscribe}) }},
	} {
		assert.LessOrEqual(t, alloctest.PerRun(1000, c.f), c.budget, c.what)
	}
}

func BenchmarkBucketTake(b *testing.B) {
	var bucket Bucket
	b.ReportAllocs()
	for b.Loop() {
		bucket.Take(time.Now(), wide, 1)
	}
}

func BenchmarkBucketTakeGivenTime(b *testing.B) {
	var bucket Bucket
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		bucket.Take(now, wide, 1)
	}
}

func BenchmarkBucketTakeParallel(b *testing.B) {
	var bucket Bucket
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			bucket.Take(time.Now(), wide, 1)
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	r := mustNew(b, nil, ConnectionsPerIP(wide.Rate, wide.Burst), PublishesPerApp(wide.Rate, wide.Burst),
		Rule{Name: "user in channel", Action: ClientEvent, Limit: wide, By: []Field{ByUser, ByChannel}},
		Rule{Name: "refuses", Action: Subscribe, Limit: Limit{Rate: 1e-3, Burst: 1}})
	for _, c := range []struct {
		name string
		req  Request
	}{
		{"app", Request{Action: Publish, App: "app"}},
		{"IPv4", Request{Action: Connect, IP: "192.0.2.1"}},
		{"IPv6", Request{Action: Connect, IP: "2001:db8::1"}},
		{"user+channel", Request{Action: ClientEvent, User: "user-1", Channel: "private-chat"}},
		{"refused", Request{Action: Subscribe}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := r.Check(context.Background(), c.req); err != nil && !errors.Is(err, ErrLimited) {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("app/parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				_ = r.Check(context.Background(), Request{Action: Publish, App: "app"})
			}
		})
	})
}

// BenchmarkMemoryNewKeys never sees a key twice, so it adds and, from the bound
// on, replaces.
func BenchmarkMemoryNewKeys(b *testing.B) {
	m := NewMemory(WithMaxKeys(1 << 16))
	var key []byte
	i := int64(0)
	b.ReportAllocs()
	for b.Loop() {
		i++
		key = strconv.AppendInt(key[:0], i, 10)
		_, _ = m.Take(context.Background(), string(key), Limit{Rate: 1e-3, Burst: 10}, 1)
	}
}

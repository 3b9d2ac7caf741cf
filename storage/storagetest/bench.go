package storagetest

import (
	"context"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/carillon-rt/carillon/storage"
)

// BenchmarkHistory measures what a broker does with a history. The events have
// 128 bytes of data and the channels keep 100 of them.
func BenchmarkHistory(b *testing.B, store storage.History) {
	ctx, app := context.Background(), unique("app")
	ev := storage.Event{ID: "event", Name: "message", Data: make([]byte, 128)}
	channel := func(name string) storage.ChannelID { return storage.ChannelID{App: app, Name: name} }
	add := func(b *testing.B, ch storage.ChannelID, opts storage.AppendOptions) {
		if _, err := store.Append(ctx, ch, &ev, opts); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("Append", func(b *testing.B) {
		b.ReportAllocs()
		for ch := channel("append"); b.Loop(); {
			add(b, ch, keep(100))
		}
	})
	b.Run("AppendWithKey", func(b *testing.B) {
		b.ReportAllocs()
		ch, opts := channel("key"), keep(100)
		for i := 0; b.Loop(); i++ {
			opts.IdempotencyKey = strconv.Itoa(i)
			add(b, ch, opts)
		}
	})
	b.Run("AppendAndReadLatest", func(b *testing.B) {
		b.ReportAllocs()
		for ch := channel("read-latest"); b.Loop(); {
			add(b, ch, keep(100))
			if _, err := store.Read(ctx, ch, storage.ReadOptions{Backward: true, MaxEvents: 1}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Read100", func(b *testing.B) {
		b.ReportAllocs()
		ch := channel("read")
		for range 100 {
			add(b, ch, keep(100))
		}
		for b.Loop() {
			if _, err := store.Read(ctx, ch, storage.ReadOptions{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("AppendBatchOf64", func(b *testing.B) {
		b.ReportAllocs()
		batch := make([]storage.AppendRequest, 64)
		for i := range batch {
			batch[i] = storage.AppendRequest{Channel: channel("batch-" + strconv.Itoa(i%4)), Event: &ev, Options: keep(100)}
		}
		for b.Loop() {
			for _, r := range store.AppendBatch(ctx, batch) {
				if r.Err != nil {
					b.Fatal(r.Err)
				}
			}
		}
	})
	b.Run("AppendToOneChannelFrom64", func(b *testing.B) {
		b.ReportAllocs()
		b.SetParallelism(64)
		ch := channel("one")
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				add(b, ch, keep(100))
			}
		})
	})
	b.Run("LatestOf100", func(b *testing.B) {
		b.ReportAllocs()
		channels := make([]storage.ChannelID, 100)
		for i := range channels {
			channels[i] = channel("latest-" + strconv.Itoa(i))
			add(b, channels[i], keep(1))
		}
		for b.Loop() {
			if _, err := store.Latest(ctx, channels); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("AppendToManyChannels", func(b *testing.B) {
		b.ReportAllocs()
		var n atomic.Int64
		b.RunParallel(func(pb *testing.PB) {
			worker := strconv.FormatInt(n.Add(1), 10)
			channels := make([]storage.ChannelID, 100)
			for i := range channels {
				channels[i] = channel(worker + "-" + strconv.Itoa(i))
			}
			for i := 0; pb.Next(); i++ {
				add(b, channels[i%len(channels)], keep(100))
			}
		})
	})
}

// BenchmarkPresence measures what a broker does with presence.
func BenchmarkPresence(b *testing.B, store storage.Presence) {
	ctx, app := context.Background(), unique("app")
	join := func(b *testing.B, ch storage.ChannelID, conn storage.Connection, userID string, opts storage.JoinOptions) {
		if _, err := store.Join(ctx, ch, conn, storage.Member{UserID: userID}, opts); err != nil {
			b.Fatal(err)
		}
	}
	for _, name := range []string{"JoinAndLeaveOf0", "JoinAndLeaveOf100", "JoinAndLeaveWithMembersOf100"} {
		b.Run(name, func(b *testing.B) {
			others := 0
			if strings.HasSuffix(name, "100") {
				others = 100
			}
			b.ReportAllocs()
			ch := storage.ChannelID{App: app, Name: "presence-" + name}
			opts := storage.JoinOptions{Members: strings.Contains(name, "WithMembers")}
			for i := range others {
				id := strconv.Itoa(i)
				join(b, ch, storage.Connection{Node: app, ID: name + id}, id, opts)
			}
			conn := storage.Connection{Node: app, ID: "conn"}
			for b.Loop() {
				join(b, ch, conn, "ann", opts)
				if _, err := store.Leave(ctx, ch, conn); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("MembersOf100", func(b *testing.B) {
		b.ReportAllocs()
		ch := storage.ChannelID{App: app, Name: "presence-members"}
		for i := range 100 {
			id := strconv.Itoa(i)
			join(b, ch, storage.Connection{Node: app, ID: "m" + id}, id, storage.JoinOptions{})
		}
		for b.Loop() {
			if _, err := store.Members(ctx, ch); err != nil {
				b.Fatal(err)
			}
		}
	})
}

package broker

import (
	"context"
	"time"

	"github.com/carillon-rt/carillon/presence"
)

func (b *Broker) memberJoined(ctx context.Context, ch ChannelID, m presence.Member) {
	inform(ctx, b, memberJoined, MemberChange{App: ch.App, Channel: ch.Name, Member: m, Time: time.Now()})
}

func (b *Broker) memberLeft(ctx context.Context, ch ChannelID, d presence.Departure) {
	inform(ctx, b, memberLeft, MemberChange{App: ch.App, Channel: ch.Name, Member: d.Member, Time: d.Time})
}

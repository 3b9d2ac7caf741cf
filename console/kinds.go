package console

import "strings"

// kind is what an entry of the log tells.
type kind uint8

const (
	kindConnect kind = iota
	kindRefuseConnect
	kindDisconnect
	kindSubscribe
	kindRefuseSubscribe
	kindUnsubscribe
	kindPublish
	kindClientEvent
	kindRefusePublish
	kindRefuseRequest
	kindJoin
	kindLeave
	kindOnline
	kindOffline
	kindOccupied
	kindVacated
	kindSlow
	kindGap
	kindHook
	kindStore
	kindAPI
	kindWebhook
	kindCount
)

var kindNames = [kindCount]string{"connect", "refuse-connect", "disconnect", "subscribe", "refuse-subscribe", "unsubscribe",
	"publish", "client-event", "refuse-publish", "refuse-request", "join", "leave", "online", "offline", "occupied", "vacated",
	"slow", "gap", "hook", "store", "api", "webhook"}

func (k kind) String() string { return kindNames[k] }

// kindSet is a set of kinds; the empty one is all of them.
type kindSet uint32

// parseKinds reads kinds separated by commas.
func parseKinds(text string) (set kindSet, err error) {
	if text == "" {
		return 0, nil
	}
next:
	for name := range strings.SplitSeq(text, ",") {
		for k, known := range kindNames {
			if name == known {
				set |= 1 << k
				continue next
			}
		}
		return 0, invalid("kind", "has to be some of "+strings.Join(kindNames[:], ", "))
	}
	return set, nil
}

func (s kindSet) has(k kind) bool { return s == 0 || s&(1<<k) != 0 }

package console

import (
	"fmt"
	"time"
)

// line says in one line of words what an entry tells.
func (c *Console) line(e *logged) string {
	channel, user := e.text(textChannel), e.text(textUser)
	who := e.text(textSession)
	if user != "" {
		who = user
	}
	message := e.text(textMessage)
	switch e.kind {
	case kindConnect:
		return "connected over " + e.text(textReason)
	case kindRefuseConnect:
		return "connection refused: " + message
	case kindDisconnect:
		return fmt.Sprintf("disconnected with %d after %s", e.code, roughly(e.took))
	case kindSubscribe:
		if e.to > 0 {
			return fmt.Sprintf("%s subscribed to %s, with %d past events", who, channel, e.to)
		}
		return who + " subscribed to " + channel
	case kindRefuseSubscribe:
		return who + " may not subscribe to " + channel + ": " + message
	case kindUnsubscribe:
		return who + " is no longer on " + channel
	case kindPublish, kindClientEvent:
		text := fmt.Sprintf("%s to %s, %s bytes, to %s", e.text(textEvent), channel, number(e.size), subscribers(e.to))
		if e.passed > 0 {
			text += fmt.Sprintf(", %d left out", e.passed)
		}
		return text
	case kindRefusePublish:
		return fmt.Sprintf("%s to %s was refused: %s", e.text(textEvent), channel, message)
	case kindRefuseRequest:
		return fmt.Sprintf("%s was refused: %s", e.text(textEvent), message)
	case kindJoin:
		return user + " is on " + channel
	case kindLeave:
		return user + " has left " + channel
	case kindOnline:
		return user + " is online"
	case kindOffline:
		return user + " is offline"
	case kindOccupied:
		return channel + " has its first subscriber"
	case kindVacated:
		return channel + " has no subscriber any more"
	case kindSlow:
		if who == "" {
			return "the program fell behind on " + channel + ": " + message
		}
		return fmt.Sprintf("%s was cut off: %s messages, %s bytes waited for it", who, number(e.to), number(e.size))
	case kindGap:
		return "subscribers of " + channel + " miss events: " + message
	case kindStore:
		if message == "" {
			return fmt.Sprintf("%s took %s", e.text(textEvent), roughly(e.took))
		}
		return e.text(textEvent) + " failed: " + message
	case kindAPI:
		text := fmt.Sprintf("%s: %d", e.text(textEvent), e.code)
		if message != "" {
			text += ", " + message
		}
		return text
	case kindWebhook:
		text := fmt.Sprintf("webhook to %s, attempt %d: ", c.shownURL(e.text(textURL)), e.try)
		if message != "" {
			return text + message
		}
		return text + fmt.Sprint(e.code)
	}
	return message
}

func subscribers(n int) string {
	if n == 1 {
		return "1 subscriber"
	}
	return number(n) + " subscribers"
}

// roughly writes a duration with the digits that matter.
func roughly(d time.Duration) string {
	switch {
	case d >= time.Minute:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(time.Microsecond).String()
}

package main

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

// TestNoStretchOfTimeHasMore has somebody send at all kinds of times, and counts what
// came through in every span that begins with a message.
func TestNoStretchOfTimeHasMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most, span = 10, 10 * time.Second
		w, rnd := newWindow(most, span), rand.New(rand.NewPCG(1, 2))
		var through []time.Time
		for range 2_000 {
			if wait := w.take("ann"); wait == 0 {
				through = append(through, time.Now())
			} else if rnd.IntN(4) == 0 { // whoever waits as long as told is let through
				time.Sleep(wait)
				assert.Zero(t, w.take("ann"))
				through = append(through, time.Now())
			}
			time.Sleep(time.Duration(rnd.Int64N(int64(time.Second))))
		}
		for i := most; i < len(through); i++ {
			assert.GreaterOrEqual(t, through[i].Sub(through[i-most]), span)
		}
		assert.Greater(t, len(through), 100)
	})
}

func TestWindowsAreApartAndForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWindow(1, time.Second)
		for i := range 100 {
			assert.Zero(t, w.take(fmt.Sprint(i)))
		}
		assert.Equal(t, time.Second, w.take("0"))
		time.Sleep(time.Second)
		assert.Zero(t, w.take("0"))
		assert.Len(t, w.taken, 1)
	})
}

//go:build !unix

package bench

import "time"

// ownTime returns 0: it is not known here.
func ownTime() time.Duration { return 0 }

// roomFor returns nil: there is no limit to ask for.
func roomFor(int) error { return nil }

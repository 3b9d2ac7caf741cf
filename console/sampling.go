package console

import "math/rand/v2"

// sampled is true once in mask+1 times. Nothing is shared, so that publishers do not wait for
// each other.
func sampled(mask uint64) bool { return rand.Uint64()&mask == 0 }

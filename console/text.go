package console

import (
	"cmp"
	"strings"
)

// compareNames compares names as people look for them, without regard to case first.
func compareNames(a, b string) int {
	return cmp.Or(cmp.Compare(strings.ToLower(a), strings.ToLower(b)), cmp.Compare(a, b))
}

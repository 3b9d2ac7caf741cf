// Package responsewriter finds out what an http.ResponseWriter can do, whether it is
// net/http's own or one that middleware has wrapped around that. It wraps none itself.
package responsewriter

import "net/http"

// CanFlush says whether what is written to w can be made to leave at once.
func CanFlush(w http.ResponseWriter) bool {
	return has(w, func(w http.ResponseWriter) bool {
		switch w.(type) {
		case http.Flusher, interface{ FlushError() error }:
			return true
		}
		return false
	})
}

// CanHijack says whether w gives its connection away, as far as can be told
// before.
func CanHijack(w http.ResponseWriter) bool {
	return has(w, func(w http.ResponseWriter) bool {
		_, ok := w.(http.Hijacker)
		return ok
	})
}

// has looks at w and at the writers that it wraps, as http.ResponseController
// does.
func has(w http.ResponseWriter, is func(http.ResponseWriter) bool) bool {
	for !is(w) {
		wrapper, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return false
		}
		w = wrapper.Unwrap()
	}
	return true
}

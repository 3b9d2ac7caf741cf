// Package mutants holds the test that breaks the rules by which a channel's events are
// ordered, one at a time, and sees that a property test finds each: that of
// internal/cursor or that of broker. It takes some minutes: make mutants runs it.
package mutants

// Package mutants holds the test that breaks the rules by which a channel's events are
// ordered, one at a time, and sees that a test finds each: the property test of
// internal/cursor or that of broker, or a test of what is too rare for both. It takes
// some minutes: make mutants runs it.
package mutants

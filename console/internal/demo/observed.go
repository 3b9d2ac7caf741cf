package main

import "github.com/carillon-rt/carillon/broker"

// observed adds the console to a broker's options.
func (s *server) observed(options ...broker.Option) []broker.Option { return options }

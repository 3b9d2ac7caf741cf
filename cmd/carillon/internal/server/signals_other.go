//go:build !unix

package server

import "os"

func reloadSignals() []os.Signal  { return nil }
func upgradeSignals() []os.Signal { return nil }
func isUpgrade(os.Signal) bool    { return false }
func reloading() string           { return "RELOADING=1" }

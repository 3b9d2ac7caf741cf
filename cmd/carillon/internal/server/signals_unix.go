//go:build unix

package server

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

func reloadSignals() []os.Signal  { return []os.Signal{syscall.SIGHUP} }
func upgradeSignals() []os.Signal { return []os.Signal{syscall.SIGUSR2} }

func isUpgrade(s os.Signal) bool { return s == syscall.SIGUSR2 }

// reloading is what systemd is told when the configuration is read again: the time keeps
// it from taking an older READY for the end of that.
func reloading() string {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return "RELOADING=1"
	}
	return fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", now.Nano()/1000)
}

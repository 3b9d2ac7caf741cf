//go:build !linux

package sse

import "time"

func setUserTimeout(uintptr, time.Duration) {}

//go:build !linux

package testenv

import (
	"os/exec"
	"syscall"
)

// dieWithParent does nothing: only Linux can.
func dieWithParent(*exec.Cmd, syscall.Signal) {}

// unmountBelow does nothing: dockerd runs on Linux only.
func unmountBelow(string) {}

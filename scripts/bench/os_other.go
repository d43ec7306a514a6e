//go:build !linux

package main

import (
	"errors"
	"syscall"
)

// The benchmark reads /proc; elsewhere it only builds.
var errPlatform = errors.New("the benchmark runs on Linux only")

func dieWithParent(*syscall.SysProcAttr, syscall.Signal) {}

func settle(string) error { return errPlatform }

func onDisk(string) (bool, error) { return false, errPlatform }

func space(string) (int64, error) { return 0, errPlatform }

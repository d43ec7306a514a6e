//go:build !linux

package file

import (
	"errors"
	"os"
)

// Elsewhere than on Linux the store works without what these would give it.

func bootID() string { return "" }

func space(string) (int64, error) { return 0, errors.ErrUnsupported }

func lockAlone(*os.File) bool { return false }

func lockShared(*os.File) {}

func startWriteBack(*os.File, int64, int64) {}

func renameNew(from, to string) error { return renameIfNone(from, to) }

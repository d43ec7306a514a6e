package file

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Identity says which store of which installation a directory is. Both parts are compared, never interpreted.
type Identity struct {
	Store        string
	Installation string
}

// marker is the content of the marker file.
type marker struct {
	Store        string `json:"store"`
	Installation string `json:"installation"`
	Layout       int    `json:"layout"`
}

const (
	markerName = ".repomgr-store.json"
	// layout is the version of the directory's structure.
	layout = 1

	blobsDir   = "blobs"
	tmpDir     = "tmp"
	uploadsDir = "uploads"
)

// errNoMarker is the error of checkMarker when there is no marker at all.
var errNoMarker = errors.New("no marker file " + markerName)

// checkMarker tells whether the directory is the store that id names.
func checkMarker(root string, id Identity) error {
	b, err := os.ReadFile(filepath.Join(root, markerName))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w in %s", errNoMarker, root)
	}
	if err != nil {
		return err
	}
	var m marker
	if err := json.Unmarshal(b, &m); err != nil {
		return fmt.Errorf("marker file %s: %w", filepath.Join(root, markerName), err)
	}
	switch {
	case m.Installation != id.Installation:
		return fmt.Errorf("%s belongs to installation %q, not to %q", root, m.Installation, id.Installation)
	case m.Store != id.Store:
		return fmt.Errorf("%s is store %q, not %q", root, m.Store, id.Store)
	case m.Layout != layout:
		return fmt.Errorf("%s has layout %d, this version knows %d", root, m.Layout, layout)
	}
	return nil
}

// create makes a store of an absent or empty root. The marker comes last: a root with a marker is complete.
func create(root string, id Identity) error {
	if err := checkEmpty(root); err != nil {
		return err
	}
	made, err := makeAll(root)
	if err != nil {
		return err
	}
	for _, dir := range directories() {
		if err := os.Mkdir(filepath.Join(root, dir), dirPerm); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	if err := syncDir(filepath.Join(root, blobsDir), (*os.File).Sync); err != nil {
		return err
	}
	if err := writeMarker(root, id); err != nil {
		return err
	}
	for _, dir := range made {
		if err := syncDir(filepath.Dir(dir), (*os.File).Sync); err != nil {
			return err
		}
	}
	return nil
}

// checkEmpty tells whether a store may be made in root. What a creation that was interrupted made is as good as nothing, and so is
// the lost+found of a fresh file system.
func checkEmpty(root string) error {
	entries, err := os.ReadDir(root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		switch e.Name() {
		case "lost+found", markerName + ".tmp":
			continue
		case blobsDir, tmpDir, uploadsDir:
			err = filepath.WalkDir(filepath.Join(root, e.Name()), func(_ string, e fs.DirEntry, err error) error {
				if err == nil && !e.IsDir() {
					err = errors.New("a file is there")
				}
				return err
			})
			if err == nil {
				continue
			}
		}
		return fmt.Errorf("%w in %s, which is not empty", errNoMarker, root)
	}
	return nil
}

// makeAll is os.MkdirAll; it returns the directories that it made.
func makeAll(root string) (made []string, err error) {
	for dir := root; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(dir); err == nil || dir == filepath.Dir(dir) {
			break
		}
		made = append(made, dir)
	}
	return made, os.MkdirAll(root, dirPerm)
}

func writeMarker(root string, id Identity) error {
	b, err := json.Marshal(marker{Store: id.Store, Installation: id.Installation, Layout: layout})
	if err != nil {
		return err
	}
	path := filepath.Join(root, markerName)
	f, err := os.OpenFile(path+".tmp", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, filePerm)
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(path+".tmp", path)
	}
	if err != nil {
		return err
	}
	return syncDir(root, (*os.File).Sync)
}

// directories are those of a store, parents first, relative to its root.
func directories() []string {
	dirs := []string{blobsDir, tmpDir, uploadsDir}
	for i := range 256 {
		dirs = append(dirs, fanout(i))
	}
	return dirs
}

// fanout is the i-th directory of blobs, relative to the root.
func fanout(i int) string {
	return filepath.Join(blobsDir, fmt.Sprintf("%02x", i))
}

// checkLayout fails when a directory of blobs is missing: then blobs may be missing too. The directories that hold nothing
// durable are made again; a backup may leave them out.
func checkLayout(root string) error {
	entries, err := os.ReadDir(filepath.Join(root, blobsDir))
	if err != nil {
		return err
	}
	var have, want bytes.Buffer
	for _, e := range entries {
		if e.IsDir() && len(e.Name()) == 2 && strings.Trim(e.Name(), "0123456789abcdef") == "" {
			have.WriteString(e.Name())
		}
	}
	for i := range 256 {
		fmt.Fprintf(&want, "%02x", i)
		if !bytes.HasPrefix(have.Bytes(), want.Bytes()) {
			return fmt.Errorf("directory %s of %s is missing", fanout(i), root)
		}
	}
	for _, dir := range []string{tmpDir, uploadsDir} {
		if err := os.Mkdir(filepath.Join(root, dir), dirPerm); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

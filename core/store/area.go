package store

import (
	"context"
	"fmt"
	"strings"
)

// Area is a group of settings that are read and changed together, in one moment: those whose keys begin with its name and a dot.
type Area struct {
	// Epoch is greater after each change, by whichever node.
	Epoch int64
	// Settings are the values by key, with the area's name in front.
	Settings map[string]string
}

// Area reads until nothing changed meanwhile: the settings are of one moment then.
func (s *Store) Area(ctx context.Context, name string) (Area, error) {
	for {
		before, err := s.AreaEpoch(ctx, name)
		if err != nil {
			return Area{}, err
		}
		var rows []struct{ Key, Value string }
		if _, err := s.scan(ctx, &rows, selectArea, like(name)); err != nil {
			return Area{}, fmt.Errorf("read settings %s: %w", name, err)
		}
		after, err := s.AreaEpoch(ctx, name)
		if err != nil {
			return Area{}, err
		}
		if before == after {
			return newArea(after, rows), nil
		}
	}
}

// AreaEpoch is the epoch of an area; zero when it was never changed.
func (s *Store) AreaEpoch(ctx context.Context, name string) (int64, error) {
	var epoch int64
	if _, err := s.scan(ctx, &epoch, `SELECT value FROM epochs WHERE name = ?`, name); err != nil {
		return 0, fmt.Errorf("read epoch %s: %w", name, err)
	}
	return epoch, nil
}

// ChangeArea begins a change of an area, and returns it as it is. Changes of one area run one after the other.
func (tx *Tx) ChangeArea(name string) (Area, error) {
	var epoch int64
	// On PostgreSQL this locks the row.
	if _, err := tx.scan(&epoch, `INSERT INTO epochs (name, value) VALUES (?, 1)
 ON CONFLICT (name) DO UPDATE SET value = epochs.value + 1 RETURNING value`, name); err != nil {
		return Area{}, fmt.Errorf("bump epoch %s: %w", name, err)
	}
	var rows []struct{ Key, Value string }
	if _, err := tx.scan(&rows, selectArea, like(name)); err != nil {
		return Area{}, fmt.Errorf("read settings %s: %w", name, err)
	}
	return newArea(epoch, rows), nil
}

const selectArea = `SELECT key, value FROM settings WHERE key LIKE ?`

func like(name string) string { return strings.NewReplacer("%", "", "_", "").Replace(name) + ".%" }

func newArea(epoch int64, rows []struct{ Key, Value string }) Area {
	a := Area{Epoch: epoch, Settings: make(map[string]string, len(rows))}
	for _, row := range rows {
		a.Settings[row.Key] = row.Value
	}
	return a
}

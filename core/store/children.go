package store

import (
	"context"
	"slices"
	"strings"
	"time"
)

// Child is what is directly in a directory: a file, or another directory, which is there as long as there are files below it.
type Child struct {
	// Name is the last segment of the path, without a slash.
	Name      string
	Directory bool
	// Size, in bytes, and UpdatedAt are those of a file.
	Size      int64
	UpdatedAt time.Time
	// Link is the URL of a file, relative to its directory, where that is not its name, escaped; else empty. It is for the callers of
	// Children to set.
	Link string
}

// Key is the name, of a directory with a slash at the end: what a page begins after.
func (c Child) Key() string {
	if c.Directory {
		return c.Name + "/"
	}
	return c.Name
}

// childStep walks the index of paths from child to child: each step is one look-up, however many files a directory has. After a
// file comes, in byte order, its path with a character 1, and after all that is in a directory its path with a 0, which follows the
// slash.
// A place is left for the kinds that are hidden.
const childStep = `WITH RECURSIVE c (n, path) AS (
 SELECT 1, (SELECT min(path) FROM assets WHERE repository_id = ? AND deleted_at IS NULL AND path >= ? AND path < ?$SHOWN)
 UNION ALL
 SELECT n + 1, (SELECT min(a.path) FROM assets a WHERE a.repository_id = ? AND a.deleted_at IS NULL AND a.path < ?$SHOWN AND a.path >=
  CASE WHEN $FIND(substr(c.path, ?), '/') > 0 THEN substr(c.path, 1, ? + $FIND(substr(c.path, ?), '/') - 1) || '0' ELSE c.path || ? END)
 FROM c WHERE c.path IS NOT NULL AND n < ?)
 SELECT c.path, a.updated_at, b.size FROM c JOIN assets a ON a.repository_id = ? AND a.path = c.path AND a.deleted_at IS NULL
 JOIN blobs b ON b.id = a.blob_id ORDER BY c.n`

// childQuery is childStep with so many hidden kinds.
func childQuery(hidden int) string {
	return strings.ReplaceAll(childStep, "$SHOWN", strings.Repeat(" AND kind <> ?", hidden))
}

// Children returns what is directly in a directory, which starts and ends with a slash, in byte order of names where those of
// directories end with a slash: up to limit that follow the one whose Key is after, and whether there are more. Assets of the hidden kinds are not there.
func (s *Store) Children(ctx context.Context, repositoryID int64, directory, after string, limit int, hidden ...string) (children []Child, more bool, err error) {
	const least = "\x01" // control characters are in no path, so nothing is between a path and itself with this one
	start, end := directory, strings.TrimSuffix(directory, "/")+"0"
	switch {
	case strings.HasSuffix(after, "/"):
		start = directory + strings.TrimSuffix(after, "/") + "0"
	case after != "":
		start = directory + after + least
	}
	var rows []struct {
		Path      string
		UpdatedAt int64
		Size      int64
	}
	inside := len([]rune(directory)) // databases count characters
	kinds := make([]any, len(hidden))
	for i, kind := range hidden {
		kinds[i] = kind
	}
	args := slices.Concat([]any{repositoryID, start, end}, kinds, []any{repositoryID, end}, kinds,
		[]any{inside + 1, inside, inside + 1, least, limit + 1, repositoryID})
	_, err = s.scan(ctx, &rows, childQuery(len(hidden)), args...)
	if err != nil {
		return nil, false, err
	}
	for _, row := range rows {
		name, _, below := strings.Cut(strings.TrimPrefix(row.Path, directory), "/")
		c := Child{Name: name, Directory: below}
		if !below {
			c.Size, c.UpdatedAt = row.Size, millis(row.UpdatedAt)
		}
		children = append(children, c)
	}
	if more = len(children) > limit; more {
		children = children[:limit]
	}
	return children, more, nil
}

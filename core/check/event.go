package check

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/repomgr/repomgr/core/store"
)

// Event is a piece of a check's report: one of its fields is set.
type Event struct {
	Finding *Finding `json:"finding,omitempty"`
	// Summary ends the findings about a store.
	Summary *Summary `json:"summary,omitempty"`
	// Result ends the report. A report without one was cut off.
	Result *Result `json:"result,omitempty"`
}

// Kind is what was found.
type Kind string

// The kinds of findings.
const (
	// Missing: a live blob has no bytes.
	Missing Kind = "missing"
	// Size: a live blob has more or fewer bytes than its row says.
	Size Kind = "size"
	// Digest: a live blob has other bytes.
	Digest Kind = "digest"
	// Unreadable: the medium can't read the bytes of a live blob.
	Unreadable Kind = "unreadable"
	// Sound: a suspect blob has the right bytes after all.
	Sound Kind = "sound"
	// Waiting: a suspect blob still has no right bytes. Only somebody who has them can mend that, by an upload.
	Waiting Kind = "waiting"
	// Stray: a file has no row, and is too old to get one.
	Stray Kind = "stray"
	// Misplaced: a file is not where its name belongs, so that nothing finds it there.
	Misplaced Kind = "misplaced"
)

// Finding is a blob or a file that is not as it should be.
type Finding struct {
	// Store is the blob store's name.
	Store string `json:"store"`
	Kind  Kind   `json:"kind"`
	Key   string `json:"key"`
	// SHA256 is lower-case hex. That of a stray or misplaced file is from its key, and may be empty.
	SHA256 string `json:"sha256,omitempty"`
	// Size is in bytes: what the row says, or what a stray or misplaced file has.
	Size   int64  `json:"size"`
	Detail string `json:"detail,omitempty"`
	// Assets are those that name the blob, at most 100 of them; Named is how many there are.
	Assets []store.Place `json:"assets,omitempty"`
	Named  int64         `json:"named,omitempty"`
	// ModTime is a stray or misplaced file's.
	ModTime *time.Time `json:"modified,omitempty"`
	// Mended tells that a repair did what can be done.
	Mended bool `json:"mended,omitempty"`
	// Quarantined tells that it moved the file to quarantine.
	Quarantined bool `json:"quarantined,omitempty"`
}

// Summary is what was found in a store.
type Summary struct {
	Store string `json:"store"`
	Files int64  `json:"files"`
	Rows  int64  `json:"rows"`
	// Read is how many bytes were compared by their digest.
	Read int64 `json:"read"`
	// Recent is how many files have no row but may get one: they are younger than the grace time.
	Recent int64 `json:"recent"`
	// Damaged and the next four count findings: Missing, Size, Digest and Unreadable together, and each of the others.
	Damaged   int64 `json:"damaged"`
	Sound     int64 `json:"sound"`
	Waiting   int64 `json:"waiting"`
	Strays    int64 `json:"strays"`
	Misplaced int64 `json:"misplaced"`
	Mended    int64 `json:"mended"`
	// Alarm is why a repair left stray files where they are.
	Alarm string `json:"alarm,omitempty"`
	// Error is why the check of the store ended early.
	Error string `json:"error,omitempty"`
}

// Wrong is how many findings are wrong still.
func (s Summary) Wrong() int64 { return s.Damaged + s.Sound + s.Strays + s.Misplaced - s.Mended }

// Result is the outcome for all stores.
type Result struct {
	Stores int `json:"stores"`
	// Unchecked is how many stores could not be checked to the end.
	Unchecked int   `json:"unchecked"`
	Wrong     int64 `json:"wrong"`
	Mended    int64 `json:"mended"`
	Waiting   int64 `json:"waiting"`
}

func (r *Result) add(s Summary) {
	r.Stores++
	if s.Error != "" {
		r.Unchecked++
	}
	r.Wrong += s.Wrong()
	r.Mended += s.Mended
	r.Waiting += s.Waiting
}

// Exit is the status that a command ends with: 0 when all is well or mended, 1 when something is wrong, 2 when a store could not be
// checked.
func (r Result) Exit() int {
	switch {
	case r.Unchecked > 0:
		return 2
	case r.Wrong > 0:
		return 1
	}
	return 0
}

func (k Kind) text() string {
	switch k {
	case Missing:
		return "bytes are missing"
	case Size:
		return "bytes have another size"
	case Digest:
		return "bytes are wrong"
	case Unreadable:
		return "bytes can't be read"
	case Sound:
		return "bytes of a suspect blob are right"
	case Waiting:
		return "suspect blob waits for an upload"
	case Stray:
		return "file without a row"
	case Misplaced:
		return "file is in the wrong place"
	}
	return string(k)
}

// mended is what a repair did about a finding.
func (f Finding) mended() string {
	switch {
	case f.Quarantined:
		return "moved to quarantine"
	case f.Kind == Misplaced:
		return "moved to where it belongs"
	case f.Kind == Sound:
		return "back in use"
	}
	return "marked as suspect: the next upload of these bytes mends it"
}

// String is the event for people, in one line or more, without a line end.
func (e Event) String() string {
	switch {
	case e.Finding != nil:
		return e.Finding.String()
	case e.Summary != nil:
		return e.Summary.String()
	case e.Result != nil:
		return e.Result.String()
	}
	return ""
}

func (f Finding) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s: %s (%d bytes)", f.Store, f.Kind.text(), f.Key, f.Size)
	if f.Detail != "" {
		b.WriteString("; " + f.Detail)
	}
	if f.ModTime != nil {
		b.WriteString(" of " + f.ModTime.UTC().Format(time.RFC3339))
	}
	for _, a := range f.Assets {
		fmt.Fprintf(&b, "\n  named by %s %s", a.Repository, printable(a.Path))
	}
	if more := f.Named - int64(len(f.Assets)); more > 0 {
		fmt.Fprintf(&b, "\n  and by %d more", more)
	}
	if f.Named == 0 && f.Kind != Stray && f.Kind != Misplaced {
		b.WriteString("\n  named by nothing that is not deleted")
	}
	if f.Mended {
		b.WriteString("\n  " + f.mended())
	}
	return b.String()
}

func (s Summary) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d files, %d rows", s.Store, s.Files, s.Rows)
	if s.Read > 0 {
		fmt.Fprintf(&b, ", %d bytes read", s.Read)
	}
	for _, part := range []struct {
		n    int64
		text string
	}{
		{s.Damaged, "damaged"}, {s.Sound, "suspect but right"}, {s.Strays, "without a row"}, {s.Misplaced, "misplaced"}, {s.Mended, "mended"},
		{s.Waiting, "waiting for an upload"}, {s.Recent, "recent and without a row yet"},
	} {
		if part.n > 0 {
			fmt.Fprintf(&b, ", %d %s", part.n, part.text)
		}
	}
	if s.Alarm != "" {
		fmt.Fprintf(&b, "\n%s: ALARM: %s", s.Store, s.Alarm)
	}
	if s.Error != "" {
		fmt.Fprintf(&b, "\n%s: could not be checked: %s", s.Store, s.Error)
	}
	return b.String()
}

func (r Result) String() string {
	switch r.Exit() {
	case 2:
		return fmt.Sprintf("%d of %d blob stores could not be checked", r.Unchecked, r.Stores)
	case 1:
		return fmt.Sprintf("%d things are wrong", r.Wrong)
	}
	if r.Waiting > 0 {
		return fmt.Sprintf("all is well, but %d blobs wait for an upload", r.Waiting)
	}
	return "all is well"
}

// printable quotes what would not print as it is: paths are what clients make them.
func printable(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}

// joined puts a colon between what there is of both.
func joined(a, b string) string {
	if b == "" {
		return a
	}
	return a + ": " + b
}

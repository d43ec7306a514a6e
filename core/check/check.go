// Package check compares what blob stores hold with what the database says they hold, in both directions, and mends what
// differs. It never deletes: bytes that are missing or wrong become suspect, which the next upload of the same bytes mends, files in
// the wrong place are moved to the right one, and those that nothing names to the store's quarantine.
package check

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/repomgr/repomgr/core/blobstore"
	"github.com/repomgr/repomgr/core/store"
)

// Options say how far a check goes.
type Options struct {
	// Repair mends what is found.
	Repair bool `json:"repair"`
	// Rehash reads all bytes and compares their digests; without it their sizes are.
	Rehash bool `json:"rehash"`
	// Force lets Repair move files to quarantine however many they are.
	Force bool `json:"force"`
}

// Place is an open blob store to check.
type Place struct {
	// ID is that of the store's row.
	ID    int64
	Name  string
	Store blobstore.Store
}

// Checker checks blob stores, also while others write to them.
type Checker struct {
	db     *store.Store
	places func() []Place
	log    *slog.Logger
	// grace is the age from which a file without a row is a stray one; page is how many rows are read at once.
	grace time.Duration
	page  int
}

// New returns a checker of the blob stores that places returns when a check begins.
func New(db *store.Store, places func() []Place, log *slog.Logger) *Checker {
	return &Checker{db: db, places: places, log: log, grace: store.Grace, page: 1000}
}

// Run checks all blob stores. emit is called for each event in turn: the findings about a store, its summary, and so on, and at last
// the result. The error is emit's or the context's; what keeps a store from being checked is part of its summary.
func (c *Checker) Run(ctx context.Context, o Options, emit func(Event) error) error {
	var result Result
	for _, place := range c.places() {
		p := &pass{Checker: c, ctx: ctx, place: place, options: o, emit: emit, summary: Summary{Store: place.Name}}
		err := p.run()
		if p.failed != nil {
			return p.failed
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err != nil {
			p.summary.Error = err.Error()
		}
		c.report(p.summary)
		result.add(p.summary)
		if err := emit(Event{Summary: &p.summary}); err != nil {
			return err
		}
	}
	return emit(Event{Result: &result})
}

// report writes to the log what an operator should find there too.
func (c *Checker) report(s Summary) {
	if s.Error != "" {
		c.log.Error("blob store could not be checked", "blobstore", s.Store, "err", s.Error)
	}
	if s.Alarm != "" {
		c.log.Error("blob store holds too many files without a row", "blobstore", s.Store, "err", s.Alarm)
	}
	c.log.Info("blob store is checked", "blobstore", s.Store, "files", s.Files, "rows", s.Rows, "wrong", s.Wrong(), "mended", s.Mended)
}

// pass is the check of one store.
type pass struct {
	*Checker
	ctx     context.Context
	place   Place
	options Options
	emit    func(Event) error
	// failed is emit's error, which ends the whole check.
	failed  error
	summary Summary
	buffer  []byte
}

func (p *pass) run() error {
	if err := p.misplaced(); err != nil {
		return err
	}
	if err := p.compare(); err != nil {
		return err
	}
	if p.summary.Strays == 0 {
		return nil
	}
	return p.sweep()
}

// found tells of something and counts it.
func (p *pass) found(f Finding) error {
	f.Store = p.place.Name
	if f.Mended {
		p.summary.Mended++
		p.log.Warn("blob store is mended", "blobstore", f.Store, "kind", f.Kind, "key", f.Key)
	}
	p.failed = p.emit(Event{Finding: &f})
	return p.failed
}

// compare looks at each row and each file once.
func (p *pass) compare() error {
	return p.merge(func(row *store.BlobRow, file *blobstore.Info) error {
		if file != nil {
			p.summary.Files++
		}
		if row != nil {
			p.summary.Rows++
			return p.row(*row, file)
		}
		return p.lone(*file)
	})
}

// lone counts a file without a row.
func (p *pass) lone(file blobstore.Info) error {
	stray, err := p.stray(file)
	switch {
	case err != nil:
		return err
	case stray:
		p.summary.Strays++
	case time.Since(file.ModTime) <= p.grace:
		p.summary.Recent++
	}
	return nil
}

// stray tells whether a file without a row is nobody's. Young ones may be about to get their row; and a row may have come after
// those around the file's key were read.
func (p *pass) stray(file blobstore.Info) (bool, error) {
	if time.Since(file.ModTime) <= p.grace {
		return false, nil
	}
	_, named, err := p.db.BlobRow(p.ctx, p.place.ID, file.Key)
	return !named, err
}

// row compares a row with its file, which is nil when the walk has not seen one.
func (p *pass) row(row store.BlobRow, file *blobstore.Info) error {
	if row.State == store.Condemned {
		return nil // its bytes may be gone or not
	}
	if row.State == store.Live && !p.options.Rehash && file != nil && !file.Irregular && file.Size == row.Size && digestOf(file) == row.SHA256 {
		return nil
	}
	damage, err := p.inspect(row, file, p.options.Rehash || row.State == store.Suspect)
	if err != nil {
		return fmt.Errorf("blob %s: %w", row.Key, err)
	}
	if row.State == store.Live && damage.kind == "" {
		return nil
	}
	now, ok, err := p.db.BlobRow(p.ctx, p.place.ID, row.Key)
	switch {
	case err != nil:
		return err
	case !ok || now.State != row.State:
		return nil // meanwhile a collector took it, an upload mended it, or somebody else noticed
	case row.State == store.Live:
		return p.damaged(row, damage)
	case damage.kind == "":
		return p.sound(row)
	}
	return p.waiting(row, damage)
}

// damaged tells of a live blob whose bytes are not there or not right.
func (p *pass) damaged(row store.BlobRow, d damage) error {
	f, err := p.finding(row, d)
	if err != nil {
		return err
	}
	p.summary.Damaged++
	if p.options.Repair {
		err = p.db.Update(p.ctx, func(tx *store.Tx) error { _, err := tx.Suspect(row.ID); return err })
		if err != nil {
			return err
		}
		f.Mended = true
	}
	return p.found(f)
}

// sound tells of a suspect blob whose bytes are right, for example because they were restored from a backup.
func (p *pass) sound(row store.BlobRow) error {
	f, err := p.finding(row, damage{kind: Sound})
	if err != nil {
		return err
	}
	p.summary.Sound++
	if p.options.Repair {
		err = p.db.Update(p.ctx, func(tx *store.Tx) (err error) { f.Mended, err = tx.Acquit(row.ID); return err })
		if err != nil {
			return err
		}
	}
	return p.found(f)
}

// waiting tells of a blob that is suspect already: there is nothing to mend without its bytes.
func (p *pass) waiting(row store.BlobRow, d damage) error {
	d.text = joined(string(d.kind), d.text)
	d.kind = Waiting
	f, err := p.finding(row, d)
	if err != nil {
		return err
	}
	p.summary.Waiting++
	return p.found(f)
}

// maxAssets is how many of the assets that name a blob are told.
const maxAssets = 100

func (p *pass) finding(row store.BlobRow, d damage) (Finding, error) {
	f := Finding{Kind: d.kind, Key: row.Key, SHA256: row.SHA256, Size: row.Size, Detail: d.text}
	var err error
	f.Assets, f.Named, err = p.db.Named(p.ctx, row.ID, maxAssets)
	return f, err
}

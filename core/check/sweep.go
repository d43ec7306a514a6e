package check

import (
	"context"
	"errors"
	"fmt"

	"github.com/repomgr/repomgr/core/blobstore"
	"github.com/repomgr/repomgr/core/store"
)

// maxStrays is the part of a store's files, as one in so many, that a repair moves to quarantine without being forced.
const maxStrays = 100

// sweep tells of the files that compare has counted as stray, and moves them to quarantine if it may. It walks the store again in
// place of keeping their keys, as they may be many.
func (p *pass) sweep() error {
	quarantiner, ok := p.place.Store.(blobstore.Quarantiner)
	switch s := &p.summary; {
	case !p.options.Repair:
		quarantiner = nil
	case !ok:
		s.Alarm = "this type of blob store has no quarantine: files without a row stay where they are"
	case s.Strays*maxStrays > s.Files && !p.options.Force:
		quarantiner = nil
		s.Alarm = fmt.Sprintf("%d of %d files have no row, which is more than 1 %%: has an older database been restored, or does the store belong to "+
			"another installation? They stay where they are; --force moves them to quarantine all the same", s.Strays, s.Files)
	}
	p.summary.Strays = 0
	return p.merge(func(row *store.BlobRow, file *blobstore.Info) error {
		if row != nil {
			return nil
		}
		stray, err := p.stray(*file)
		if stray && quarantiner != nil {
			stray, err = p.quarantine(quarantiner, file.Key)
		}
		if !stray || err != nil {
			return err
		}
		p.summary.Strays++
		f := lost(Stray, *file)
		f.Mended, f.Quarantined = quarantiner != nil, quarantiner != nil
		return p.found(f)
	})
}

// lost is a finding about a file that nothing finds.
func lost(kind Kind, file blobstore.Info) Finding {
	f := Finding{Kind: kind, Key: file.Key, SHA256: digestOf(&file), Size: file.Size, ModTime: &file.ModTime}
	if file.Irregular {
		f.Detail = irregular
	}
	return f
}

// quarantine moves a stray file out of the way, and tells whether it was one.
//
// No upload can lose its bytes by that. A row is inserted for a key that was staged just before, never for one that is found in the
// store; between the two lie seconds, or the time that a database which does not answer lets a request wait, and the file is older
// than the grace time. Should a row turn up all the same, the bytes go back to where it says they are.
func (p *pass) quarantine(q blobstore.Quarantiner, key string) (bool, error) {
	if err := q.Quarantine(p.ctx, key); errors.Is(err, blobstore.ErrNotFound) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	ctx := context.WithoutCancel(p.ctx)
	_, named, err := p.db.BlobRow(ctx, p.place.ID, key)
	if err == nil && !named {
		return true, nil
	}
	return false, errors.Join(err, q.Release(ctx, key))
}

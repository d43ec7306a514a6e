package check

import (
	"errors"

	"github.com/repomgr/repomgr/core/blobstore"
)

// misplaced tells of files that are where no key leads, and has them put back. It comes first: what is compared afterwards is what is
// there then, so that a blob whose file was away is well, and a file that nobody names is a stray one like any other.
func (p *pass) misplaced() error {
	tidier, ok := p.place.Store.(blobstore.Tidier)
	if !ok {
		return nil
	}
	return tidier.Misplaced(p.ctx, func(place string, file blobstore.Info) error {
		f := lost(Misplaced, file)
		f.Detail = joined(place, f.Detail)
		row, named, err := p.db.BlobRow(p.ctx, p.place.ID, file.Key)
		if err == nil && named {
			f.Assets, f.Named, err = p.db.Named(p.ctx, row.ID, maxAssets)
		}
		if err != nil {
			return err
		}
		if p.options.Repair {
			back, err := tidier.PutBack(p.ctx, place)
			if errors.Is(err, blobstore.ErrNotFound) {
				return nil // meanwhile somebody else moved it
			}
			d, err := unreadable(err)
			if err != nil {
				return err
			}
			f.Mended = d.kind == ""
			f.Quarantined = f.Mended && !back
			f.Detail = joined(f.Detail, d.text)
		}
		p.summary.Misplaced++
		return p.found(f)
	})
}

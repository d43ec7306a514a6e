package check

import (
	"context"

	"github.com/repomgr/repomgr/core/blobstore"
	"github.com/repomgr/repomgr/core/store"
)

// merge calls visit for each key of the store that has a row or a file, in byte order, with what it has of both: at least one
// is not nil. It holds a page of rows at a time, however many there are.
func (p *pass) merge(visit func(row *store.BlobRow, file *blobstore.Info) error) error {
	rows := rows{ctx: p.ctx, db: p.db, store: p.place.ID, limit: p.page}
	err := p.place.Store.Walk(p.ctx, "", func(file blobstore.Info) error {
		for {
			row, err := rows.first()
			if err != nil {
				return err
			}
			if row == nil || row.Key > file.Key {
				return visit(nil, &file)
			}
			rows.next()
			if row.Key == file.Key {
				return visit(row, &file)
			}
			if err := visit(row, nil); err != nil {
				return err
			}
		}
	})
	if err != nil {
		return err
	}
	for {
		row, err := rows.first()
		if row == nil || err != nil {
			return err
		}
		rows.next()
		if err := visit(row, nil); err != nil {
			return err
		}
	}
}

// rows reads a blob store's rows in order of key.
type rows struct {
	ctx   context.Context
	db    *store.Store
	store int64
	limit int
	page  []store.BlobRow
	after string
	end   bool
}

// first is the next row; nil when there are no more.
func (r *rows) first() (*store.BlobRow, error) {
	if len(r.page) == 0 && !r.end {
		page, err := r.db.BlobRows(r.ctx, r.store, r.after, r.limit)
		if err != nil {
			return nil, err
		}
		r.page, r.end = page, len(page) < r.limit
	}
	if len(r.page) == 0 {
		return nil, nil
	}
	return &r.page[0], nil
}

// next goes on to the row after the first.
func (r *rows) next() {
	r.after = r.page[0].Key
	r.page = r.page[1:]
}

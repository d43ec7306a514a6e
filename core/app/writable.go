package app

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/repomgr/repomgr/core/repository"
	"github.com/repomgr/repomgr/core/store"
)

// settingWritable is the setting that a look at whether the database can be written writes.
const settingWritable = "status.writable"

// writableTime is how long an answer about writing holds: everybody may ask, and each look writes.
const writableTime = 2 * time.Second

// writable returns a function that tells why the server can't store anything now; nil when it can. It tries.
func writable(db *store.Store, stores *repository.BlobStores) func(ctx context.Context) error {
	var mu sync.Mutex
	var looked time.Time
	var last error
	return func(ctx context.Context) error {
		mu.Lock()
		defer mu.Unlock()
		if time.Since(looked) < writableTime {
			return last
		}
		last = db.Update(ctx, func(tx *store.Tx) error {
			return tx.SetSetting(settingWritable, strconv.FormatInt(time.Now().Unix(), 10))
		})
		if last == nil {
			last = stores.Writable(ctx)
		}
		looked = time.Now()
		return last
	}
}

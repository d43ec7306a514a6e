package store

import (
	"hash/maphash"
	"sync/atomic"
)

// Epochs lets caches of what the database says never be wrong, without a lock. Everything cacheable belongs to a slot.
// A reader takes the slot's mark before it asks the database, keeps the answer with the mark, and may use it as long as
// the slot still shows that mark. A writer opens its slots before it commits and ends them before its caller hears of
// the commit: while one is open there is no valid mark, afterwards there is another.
type Epochs struct {
	slots [slots]atomic.Uint64
}

const slots = 1 << 14

// A slot's value counts the open writers in its low bits and the writes that ended in the others.
const (
	writers = 1<<16 - 1
	ended   = 1 << 16
)

// NewEpochs returns slots that nobody has written to.
func NewEpochs() *Epochs { return &Epochs{} }

// Mark returns the slot's mark, and whether it may be used at all now.
func (e *Epochs) Mark(slot int) (mark uint64, ok bool) {
	v := e.slots[slot].Load()
	return v, v&writers == 0
}

func (e *Epochs) begin(slot int) { e.slots[slot].Add(1) }

func (e *Epochs) end(slot int) { e.slots[slot].Add(ended - 1) }

var seed = maphash.MakeSeed()

// PathSlot is the slot of the asset at a path.
func PathSlot(repositoryID int64, path string) int { return slot(repositoryID, 'p', path) }

// NameSlot is the slot of all that is made from the assets of a name.
func NameSlot(repositoryID int64, name string) int { return slot(repositoryID, 'n', name) }

func slot(repositoryID int64, kind byte, s string) int {
	h := maphash.String(seed, s)
	h ^= uint64(repositoryID) * 0x9e3779b97f4a7c15
	h ^= uint64(kind) << 3
	h ^= h >> 29
	return int(h % slots)
}

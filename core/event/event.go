// Package event hands what happened on to those who follow: projections and exports, each at its own pace. Events are
// written by the transactions that they tell of; what must be right when a client gets its answer is never made from them.
package event

import (
	"context"
	"encoding/json"
	"time"
)

// Event is something that a committed transaction did.
type Event struct {
	// ID is unique.
	ID int64
	At time.Time
	// Topic is for example "asset.created" or "repository.deleted".
	Topic string
	// Repository is the id of the repository it happened in; zero for none.
	Repository int64
	// Payload is a JSON object; its shape is the topic's.
	Payload json.RawMessage
}

// Consumer follows the events.
type Consumer struct {
	// Name identifies the consumer's place among the events, across restarts and nodes. A new name starts with the oldest
	// event that is still there.
	Name string
	// Handle is given the next events, in order, all of them, at least once: again after a crash, and after an error of any
	// of them. Events of transactions that ran at the same time may come in either order; who needs to know how things are
	// asks the database. Handle is called from one goroutine at a time, on one node at a time. It has a minute; then ctx ends.
	Handle func(ctx context.Context, events []Event) error
}

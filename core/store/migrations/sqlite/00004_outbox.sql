-- +goose Up
-- A cursor belongs to the node that leased it; xid is PostgreSQL's.
ALTER TABLE outbox_cursors ADD COLUMN xid INTEGER NOT NULL DEFAULT 0;
ALTER TABLE outbox_cursors ADD COLUMN owner TEXT NOT NULL DEFAULT '';
ALTER TABLE outbox_cursors ADD COLUMN leased_until INTEGER NOT NULL DEFAULT 0;

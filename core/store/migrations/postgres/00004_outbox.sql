-- +goose Up
-- Events are read in order of (xid, id): what comes before a place in that order is complete once no transaction as old is
-- running. A cursor belongs to the node that leased it.
CREATE INDEX outbox_order ON outbox (xid, id);
ALTER TABLE outbox_cursors ADD COLUMN xid BIGINT NOT NULL DEFAULT 0;
ALTER TABLE outbox_cursors ADD COLUMN owner TEXT NOT NULL DEFAULT '';
ALTER TABLE outbox_cursors ADD COLUMN leased_until BIGINT NOT NULL DEFAULT 0;

-- +goose Up
-- What is known of the copy that an upstream server has: when it was last seen to be the same, and its validators.
ALTER TABLE assets ADD COLUMN checked_at INTEGER;
ALTER TABLE assets ADD COLUMN etag TEXT NOT NULL DEFAULT '';
ALTER TABLE assets ADD COLUMN modified TEXT NOT NULL DEFAULT '';
-- What was checked before then is stale, whatever its age: the admin wants it looked at again.
ALTER TABLE repositories ADD COLUMN invalidated_at INTEGER NOT NULL DEFAULT 0;

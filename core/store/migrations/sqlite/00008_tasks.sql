-- +goose Up
-- Jobs that an administrator made: there may be several of a type, each with its properties. Of the server's own there is one of each type.
ALTER TABLE jobs ADD COLUMN own INTEGER NOT NULL DEFAULT 1;
-- Both are JSON objects.
ALTER TABLE jobs ADD COLUMN properties TEXT NOT NULL DEFAULT '{}';
ALTER TABLE jobs ADD COLUMN settings TEXT NOT NULL DEFAULT '{}';
DROP INDEX jobs_type;
CREATE UNIQUE INDEX jobs_own ON jobs (type) WHERE own;

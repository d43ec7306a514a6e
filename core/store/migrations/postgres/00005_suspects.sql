-- +goose Up
-- New bytes take the place of a suspect blob, which is looked for by its digest each time a blob is recorded.
CREATE INDEX blobs_suspect ON blobs (store_id, sha256) WHERE state = 'suspect';

-- +goose Up
CREATE TABLE jobs (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  type       TEXT NOT NULL,
  name       TEXT NOT NULL,
  schedule   TEXT NOT NULL,
  enabled    INTEGER NOT NULL,
  -- next_run is NULL for a job that runs on request only.
  next_run   INTEGER,
  created_at INTEGER NOT NULL
);
CREATE UNIQUE INDEX jobs_type ON jobs (type);
CREATE INDEX jobs_due ON jobs (next_run) WHERE next_run IS NOT NULL;

CREATE TABLE job_runs (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,
  job_id       INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
  state        TEXT NOT NULL CHECK (state IN ('queued', 'running', 'ok', 'failed', 'cancelled')),
  done         INTEGER NOT NULL DEFAULT 0,
  total        INTEGER NOT NULL DEFAULT 0,
  message      TEXT NOT NULL DEFAULT '',
  result       TEXT NOT NULL DEFAULT '',
  -- stop asks the node that runs it to end it.
  stop         INTEGER NOT NULL DEFAULT 0,
  node         TEXT NOT NULL DEFAULT '',
  queued_at    INTEGER NOT NULL,
  started_at   INTEGER,
  heartbeat_at INTEGER,
  finished_at  INTEGER
);
CREATE INDEX job_runs_job ON job_runs (job_id, id);
-- A job runs once at a time.
CREATE UNIQUE INDEX job_runs_active ON job_runs (job_id) WHERE state IN ('queued', 'running');

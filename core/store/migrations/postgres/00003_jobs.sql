-- +goose Up
CREATE TABLE jobs (
  id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  type       TEXT NOT NULL,
  name       TEXT NOT NULL,
  schedule   TEXT NOT NULL,
  enabled    BOOLEAN NOT NULL,
  -- next_run is NULL for a job that runs on request only.
  next_run   BIGINT,
  created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX jobs_type ON jobs (type);
CREATE INDEX jobs_due ON jobs (next_run) WHERE next_run IS NOT NULL;

CREATE TABLE job_runs (
  id           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  job_id       BIGINT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
  state        TEXT NOT NULL CHECK (state IN ('queued', 'running', 'ok', 'failed', 'cancelled')),
  done         BIGINT NOT NULL DEFAULT 0,
  total        BIGINT NOT NULL DEFAULT 0,
  message      TEXT NOT NULL DEFAULT '',
  result       TEXT NOT NULL DEFAULT '',
  -- stop asks the node that runs it to end it.
  stop         BOOLEAN NOT NULL DEFAULT false,
  node         TEXT NOT NULL DEFAULT '',
  queued_at    BIGINT NOT NULL,
  started_at   BIGINT,
  heartbeat_at BIGINT,
  finished_at  BIGINT
);
CREATE INDEX job_runs_job ON job_runs (job_id, id);
-- A job runs once at a time.
CREATE UNIQUE INDEX job_runs_active ON job_runs (job_id) WHERE state IN ('queued', 'running');

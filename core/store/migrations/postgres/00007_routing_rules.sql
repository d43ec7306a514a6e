-- +goose Up
-- Rules that say which paths of repositories are served. A rule's name never changes.
CREATE TABLE routing_rules (
  name       TEXT PRIMARY KEY,
  config     TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX routing_rules_name ON routing_rules (lower(name));
-- The rule that a repository uses can't be deleted.
ALTER TABLE repositories ADD COLUMN routing_rule TEXT REFERENCES routing_rules (name) ON DELETE RESTRICT;
CREATE INDEX repositories_routing_rule ON repositories (routing_rule) WHERE routing_rule IS NOT NULL;

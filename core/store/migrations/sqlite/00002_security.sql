-- +goose Up
CREATE TABLE users (
  id            TEXT PRIMARY KEY,
  first_name    TEXT NOT NULL,
  last_name     TEXT NOT NULL,
  email         TEXT NOT NULL,
  source        TEXT NOT NULL,
  status        TEXT NOT NULL,
  roles         TEXT NOT NULL, -- a JSON array of role ids
  password_hash TEXT NOT NULL,
  version       INTEGER NOT NULL
) WITHOUT ROWID;

-- epochs count the changes that caches must see; each change updates its row first, so that changes run one by one.
CREATE TABLE epochs (
  name  TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO epochs (name, value) VALUES ('security', 0);

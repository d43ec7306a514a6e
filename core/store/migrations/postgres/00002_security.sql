-- +goose Up
CREATE TABLE users (
  id            TEXT COLLATE "C" PRIMARY KEY,
  first_name    TEXT NOT NULL,
  last_name     TEXT NOT NULL,
  email         TEXT NOT NULL,
  source        TEXT NOT NULL,
  status        TEXT NOT NULL,
  roles         TEXT NOT NULL, -- a JSON array of role ids
  password_hash TEXT NOT NULL,
  version       BIGINT NOT NULL
);

-- epochs count the changes that caches must see; each change updates its row first, so that changes run one by one.
CREATE TABLE epochs (
  name  TEXT PRIMARY KEY,
  value BIGINT NOT NULL
);
INSERT INTO epochs (name, value) VALUES ('security', 0);

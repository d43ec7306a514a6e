-- +goose Up
-- Times are Unix milliseconds by the database's clock. Ids of repositories, assets and blobs are never given twice.
CREATE TABLE settings (
  key   TEXT PRIMARY KEY,
  value TEXT NOT NULL
);

CREATE TABLE blob_stores (
  id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  uuid       TEXT NOT NULL UNIQUE,
  name       TEXT NOT NULL,
  type       TEXT NOT NULL,
  config     TEXT NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX blob_stores_name ON blob_stores (lower(name));

CREATE TABLE repositories (
  id            BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name          TEXT NOT NULL,
  format        TEXT NOT NULL,
  type          TEXT NOT NULL,
  blob_store_id BIGINT NOT NULL REFERENCES blob_stores (id) ON DELETE RESTRICT,
  config        TEXT NOT NULL,
  created_at    BIGINT NOT NULL,
  updated_at    BIGINT NOT NULL,
  deleted_at    BIGINT
);
CREATE UNIQUE INDEX repositories_name ON repositories (lower(name)) WHERE deleted_at IS NULL;

CREATE TABLE blobs (
  id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  store_id   BIGINT NOT NULL REFERENCES blob_stores (id) ON DELETE RESTRICT,
  key        TEXT COLLATE "C" NOT NULL,
  sha256     TEXT NOT NULL,
  sha512     TEXT NOT NULL DEFAULT '',
  sha1       TEXT NOT NULL DEFAULT '',
  md5        TEXT NOT NULL DEFAULT '',
  size       BIGINT NOT NULL,
  state      TEXT NOT NULL CHECK (state IN ('live', 'suspect', 'condemned')),
  created_at BIGINT NOT NULL,
  touched_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX blobs_key ON blobs (store_id, key);
CREATE UNIQUE INDEX blobs_live ON blobs (store_id, sha256) WHERE state = 'live';

CREATE TABLE components (
  id            BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  repository_id BIGINT NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
  kind          TEXT NOT NULL,
  namespace     TEXT NOT NULL,
  name          TEXT COLLATE "C" NOT NULL,
  version       TEXT NOT NULL,
  created_at    BIGINT NOT NULL
);
CREATE UNIQUE INDEX components_coordinates ON components (repository_id, namespace, name, version);

CREATE TABLE assets (
  id            BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  repository_id BIGINT NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
  component_id  BIGINT REFERENCES components (id) ON DELETE SET NULL,
  path          TEXT COLLATE "C" NOT NULL,
  kind          TEXT NOT NULL,
  name          TEXT COLLATE "C" NOT NULL,
  digest        TEXT NOT NULL,
  content_type  TEXT NOT NULL,
  attributes    TEXT,
  blob_id       BIGINT NOT NULL REFERENCES blobs (id) ON DELETE RESTRICT,
  uploader      TEXT NOT NULL DEFAULT '',
  uploader_ip   TEXT NOT NULL DEFAULT '',
  created_at    BIGINT NOT NULL,
  updated_at    BIGINT NOT NULL,
  touched_at    BIGINT NOT NULL,
  downloaded_at BIGINT,
  deleted_at    BIGINT
);
CREATE UNIQUE INDEX assets_path ON assets (repository_id, path) WHERE deleted_at IS NULL;
CREATE INDEX assets_list ON assets (repository_id, kind, name, path) WHERE deleted_at IS NULL;
CREATE INDEX assets_digest ON assets (digest, repository_id) WHERE deleted_at IS NULL;
CREATE INDEX assets_blob ON assets (blob_id);
CREATE INDEX assets_component ON assets (component_id) WHERE component_id IS NOT NULL;

CREATE TABLE asset_references (
  asset_id  BIGINT NOT NULL REFERENCES assets (id) ON DELETE CASCADE,
  kind      TEXT NOT NULL CHECK (kind IN ('requires', 'child', 'subject')),
  to_digest TEXT NOT NULL,
  PRIMARY KEY (asset_id, kind, to_digest)
);
CREATE INDEX asset_references_to ON asset_references (to_digest, kind);

CREATE TABLE outbox (
  id            BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at            BIGINT NOT NULL,
  topic         TEXT NOT NULL,
  repository_id BIGINT NOT NULL,
  payload       TEXT NOT NULL,
  xid           xid8 NOT NULL DEFAULT pg_current_xact_id()
);
CREATE TABLE outbox_cursors (
  consumer TEXT PRIMARY KEY,
  position BIGINT NOT NULL
);

// Package config says how a server is set up: one table of settings, each with a default, overridden by a strict YAML
// file, by the environment, and by flags, in this order.
package config

import (
	"log/slog"
	"time"
)

// Config is all settings, with their values.
type Config struct {
	// Data is the data directory.
	Data string
	// Listen is the address of the main port, as net.Listen takes it.
	Listen string
	// Presets are the names of the presets to set up at the start: "docker".
	Presets []string
	// PresetDockerPort and PresetDockerGroupPort are the connector ports of the docker preset's hosted repository and of its group.
	PresetDockerPort, PresetDockerGroupPort int
	// AdminPassword is the administrator's at the first start; empty means a random one.
	AdminPassword string
	// Anonymous lets callers in who don't sign in; it counts at the first start.
	Anonymous bool
	// DatabaseURL is a PostgreSQL URL; empty means SQLite in the data directory.
	DatabaseURL string
	// LogLevel is the least level that is logged; LogFormat is text or json.
	LogLevel  slog.Level
	LogFormat string
	// TLSCertificate and TLSKey are PEM files; both are set or none. TLSListen is the address of the main port by TLS; empty means
	// none.
	TLSCertificate, TLSKey, TLSListen string
	// SecretsKeyFile is the file with the key that secrets are encrypted with in the database; empty is one in the data directory.
	SecretsKeyFile string
	// UploadsExpiry is how long an upload session may rest before it is given up.
	UploadsExpiry time.Duration
	// TransfersStall is how long a client may neither send nor take a byte of a transfer.
	TransfersStall time.Duration
}

// Setting is a row of the table of settings.
type Setting struct {
	// Key is the setting's path in the YAML file, with dots.
	Key string
	// Env is its environment variable.
	Env string
	// Flag is the name of its command-line flag; empty when it has none.
	Flag string
	// Default is its value when nothing sets it.
	Default string
	// Allowed completes "must be ...".
	Allowed string
	// Help is what it is for.
	Help string
	// Secret keeps its value out of messages; its bind masks it.
	Secret bool
	// bind gives access to its field; nil for what the file can't set, as it says where the file is.
	bind func(*Config) value
}

// Settings returns the table of settings.
func Settings() []Setting {
	return []Setting{
		{Key: "config", Env: "REPOMGR_CONFIG", Flag: "config", Allowed: "the path of a file",
			Help: "Configuration file; without it, `repomgr.yaml` in the data directory, if there is one. Not set in the file itself."},
		{Key: "data", Env: "REPOMGR_DATA", Flag: "data", Default: "./data", Allowed: "a path",
			Help: "Data directory: database, blobs and the administrator's first password. Not set in the file in the data directory.",
			bind: func(c *Config) value { return text(&c.Data, notEmpty) }},
		{Key: "listen", Env: "REPOMGR_LISTEN", Flag: "listen", Default: ":8081", Allowed: "host:port or :port",
			Help: "Address of the main port: REST API, UI and /repository/.",
			bind: func(c *Config) value { return text(&c.Listen, isAddress) }},
		{Key: "preset", Env: "REPOMGR_PRESET", Flag: "preset", Allowed: "a list of: docker",
			Help: "Repositories to create at the start unless they exist. `docker`: `docker-hosted`, `docker-hub` (a proxy of Docker Hub) and `docker-all` (a group of both).",
			bind: func(c *Config) value { return list(&c.Presets, "docker") }},
		{Key: "presets.docker.port", Env: "REPOMGR_PRESET_DOCKER_PORT", Default: "8082", Allowed: "a port, 1 to 65535",
			Help: "Port of the docker preset's `docker-hosted`, when it is created.",
			bind: func(c *Config) value { return port(&c.PresetDockerPort) }},
		{Key: "presets.docker.group.port", Env: "REPOMGR_PRESET_DOCKER_GROUP_PORT", Default: "8083", Allowed: "a port, 1 to 65535",
			Help: "Port of the docker preset's `docker-all`, when it is created.",
			bind: func(c *Config) value { return port(&c.PresetDockerGroupPort) }},
		{Key: "admin.password", Env: "REPOMGR_ADMIN_PASSWORD", Allowed: "a password", Secret: true,
			Help: "Password of the user `admin`, at the first start only: later it changes nothing. Without it a random one is written to `admin.password` in the data directory.",
			bind: func(c *Config) value { return secret(&c.AdminPassword) }},
		{Key: "anonymous", Env: "REPOMGR_ANONYMOUS", Default: "false", Allowed: "true or false",
			Help: "Let callers read who don't sign in. At the first start only; later it is changed in the server.",
			bind: func(c *Config) value { return boolean(&c.Anonymous) }},
		{Key: "database.url", Env: "REPOMGR_DATABASE_URL", Allowed: "a URL postgres://user:password@host:port/name or postgresql://...", Secret: true,
			Help: "PostgreSQL database. Without it, SQLite in the data directory.",
			bind: func(c *Config) value { return databaseURL(&c.DatabaseURL) }},
		{Key: "log.level", Env: "REPOMGR_LOG_LEVEL", Default: "info", Allowed: "debug, info, warn or error",
			Help: "Least level of what is logged.",
			bind: func(c *Config) value { return level(&c.LogLevel) }},
		{Key: "log.format", Env: "REPOMGR_LOG_FORMAT", Default: "text", Allowed: "text or json",
			Help: "Form of the log, which goes to the standard error output.",
			bind: func(c *Config) value { return text(&c.LogFormat, oneOf("text", "json")) }},
		{Key: "tls.certificate", Env: "REPOMGR_TLS_CERTIFICATE", Allowed: "the path of a file",
			Help: "PEM file with the server's certificate and its chain, for `tls.listen` and for repositories with an `httpsPort`. Read again when it changes.",
			bind: func(c *Config) value { return text(&c.TLSCertificate, notEmpty) }},
		{Key: "tls.key", Env: "REPOMGR_TLS_KEY", Allowed: "the path of a file",
			Help: "PEM file with the certificate's private key.",
			bind: func(c *Config) value { return text(&c.TLSKey, notEmpty) }},
		{Key: "tls.listen", Env: "REPOMGR_TLS_LISTEN", Allowed: "host:port or :port",
			Help: "Address where the main port is also served by TLS.",
			bind: func(c *Config) value { return text(&c.TLSListen, isAddress) }},
		{Key: "secrets.keyFile", Env: "REPOMGR_SECRETS_KEY_FILE", Allowed: "the path of a file",
			Help: "File with the key that encrypts passwords and tokens of upstream servers in the database: 32 bytes in base64. All nodes need the same. Without it, `secrets.key` in the data directory, which is made at the first start.",
			bind: func(c *Config) value { return text(&c.SecretsKeyFile, notEmpty) }},
		{Key: "uploads.expiry", Env: "REPOMGR_UPLOADS_EXPIRY", Default: "24h", Allowed: "a duration of at least 1m, such as 90m or 24h",
			Help: "How long an upload session may rest before it is given up.",
			bind: func(c *Config) value { return duration(&c.UploadsExpiry, time.Minute) }},
		{Key: "transfers.stall", Env: "REPOMGR_TRANSFERS_STALL", Default: "2m", Allowed: "a duration of at least 1s, such as 30s or 2m",
			Help: "How long a client may neither send nor take a byte before its push or pull is given up. A transfer that moves may take any time.",
			bind: func(c *Config) value { return duration(&c.TransfersStall, time.Second) }},
	}
}

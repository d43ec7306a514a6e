package repository

// BlobStoreConfig is the configuration of a blob store.
type BlobStoreConfig struct {
	Name string
	// Type is "File" (later also "S3").
	Type string
	// Path is a file store's directory; a relative one is below the data directory's "blobs".
	Path string
	// SoftQuota is nil when there is none.
	SoftQuota *SoftQuota
}

// SoftQuota is a limit that alarms and never blocks writes.
type SoftQuota struct {
	// Type is spaceRemainingQuota or spaceUsedQuota.
	Type string `json:"type"`
	// Limit is in bytes.
	Limit int64 `json:"limit"`
}

// BlobStoreStatus is a blob store's configuration and what is in it.
type BlobStoreStatus struct {
	BlobStoreConfig
	// Unavailable is why the store can't be used; empty when it can.
	Unavailable string
	BlobCount   int64
	// TotalSize and AvailableSpace are in bytes.
	TotalSize, AvailableSpace int64
}

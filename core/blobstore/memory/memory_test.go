package memory_test

import (
	"testing"

	"github.com/repomgr/repomgr/core/blobstore"
	"github.com/repomgr/repomgr/core/blobstore/blobtest"
	"github.com/repomgr/repomgr/core/blobstore/memory"
)

func TestStore(t *testing.T) {
	blobtest.Run(t, func(*testing.T) blobstore.Uploader { return memory.New() })
	blobtest.RunStager(t, func(*testing.T) blobstore.Stager { return memory.New() })
}

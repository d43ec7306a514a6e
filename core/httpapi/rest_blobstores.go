package httpapi

import (
	"context"
	"fmt"
	"net/http"

	"github.com/repomgr/repomgr/api"
	"github.com/repomgr/repomgr/core/repository"
)

// typeFile is the type of blob stores in a directory.
const typeFile = "File"

// ListBlobStores is the generated operation.
func (s *server) ListBlobStores(ctx context.Context, _ api.ListBlobStoresRequestObject) (api.ListBlobStoresResponseObject, error) {
	all, err := s.BlobStores.List(ctx)
	if err != nil {
		return nil, err
	}
	answer := make(api.ListBlobStores200JSONResponse, 0, len(all))
	for _, b := range all {
		answer = append(answer, api.GenericBlobStoreApiResponse{
			Name: b.Name, Type: b.Type, Unavailable: b.Unavailable != "", BlobCount: b.BlobCount,
			TotalSizeInBytes: b.TotalSize, AvailableSpaceInBytes: b.AvailableSpace, SoftQuota: quota(b.SoftQuota),
		})
	}
	return answer, nil
}

// CreateFileBlobStore is the generated operation.
func (s *server) CreateFileBlobStore(ctx context.Context, r api.CreateFileBlobStoreRequestObject) (api.CreateFileBlobStoreResponseObject, error) {
	c := repository.BlobStoreConfig{Name: r.Body.Name, Type: typeFile, Path: r.Body.Path, SoftQuota: softQuota(r.Body.SoftQuota)}
	return api.CreateFileBlobStore204Response{}, taken(s.BlobStores.Create(ctx, c), "name")
}

// GetFileBlobStoreConfiguration is the generated operation.
func (s *server) GetFileBlobStoreConfiguration(ctx context.Context, r api.GetFileBlobStoreConfigurationRequestObject) (api.GetFileBlobStoreConfigurationResponseObject, error) {
	b, err := s.fileStore(ctx, r.Name)
	if err != nil {
		return nil, err
	}
	return api.GetFileBlobStoreConfiguration200JSONResponse{Path: b.Path, SoftQuota: quota(b.SoftQuota)}, nil
}

// UpdateFileBlobStore is the generated operation.
func (s *server) UpdateFileBlobStore(ctx context.Context, r api.UpdateFileBlobStoreRequestObject) (api.UpdateFileBlobStoreResponseObject, error) {
	b, err := s.fileStore(ctx, r.Name)
	if err != nil {
		return nil, err
	}
	c := repository.BlobStoreConfig{Name: b.Name, Type: typeFile, Path: r.Body.Path, SoftQuota: softQuota(r.Body.SoftQuota)}
	return api.UpdateFileBlobStore204Response{}, s.BlobStores.Update(ctx, c)
}

// DeleteBlobStore is the generated operation.
func (s *server) DeleteBlobStore(ctx context.Context, r api.DeleteBlobStoreRequestObject) (api.DeleteBlobStoreResponseObject, error) {
	if err := s.BlobStores.Delete(ctx, r.Name); err != nil {
		return nil, refused(err)
	}
	return api.DeleteBlobStore204Response{}, nil
}

// QuotaStatus is the generated operation.
func (s *server) QuotaStatus(ctx context.Context, r api.QuotaStatusRequestObject) (api.QuotaStatusResponseObject, error) {
	b, err := s.BlobStores.Get(ctx, r.Name)
	if err != nil {
		return nil, err
	}
	violated, message := quotaState(b)
	return api.QuotaStatus200JSONResponse{BlobStoreName: b.Name, IsViolation: violated, Message: message}, nil
}

// fileStore returns the blob store if it is one in a directory.
func (s *server) fileStore(ctx context.Context, name string) (repository.BlobStoreStatus, error) {
	b, err := s.BlobStores.Get(ctx, name)
	if err == nil && b.Type != typeFile {
		err = sentence{http.StatusBadRequest, fmt.Sprintf("Blob store %s is of type %s, not %s", b.Name, b.Type, typeFile)}
	}
	return b, err
}

// quotaState tells whether a blob store violates its quota, and says so in a sentence.
func quotaState(b repository.BlobStoreStatus) (violated bool, message string) {
	q := b.SoftQuota
	switch {
	case q == nil:
		return false, fmt.Sprintf("Blob store %s has no quota", b.Name)
	case b.Unavailable != "":
		return false, fmt.Sprintf("Blob store %s is not available", b.Name)
	case q.Type == string(api.SpaceRemainingQuota):
		return b.AvailableSpace < q.Limit,
			fmt.Sprintf("Blob store %s has %d bytes left and is to keep %d", b.Name, b.AvailableSpace, q.Limit)
	}
	return b.TotalSize > q.Limit, fmt.Sprintf("Blob store %s uses %d bytes and has a limit of %d", b.Name, b.TotalSize, q.Limit)
}

func quota(q *repository.SoftQuota) *api.BlobStoreApiSoftQuota {
	if q == nil {
		return nil
	}
	return &api.BlobStoreApiSoftQuota{Type: api.BlobStoreApiSoftQuotaType(q.Type), Limit: q.Limit}
}

func softQuota(q *api.BlobStoreApiSoftQuota) *repository.SoftQuota {
	if q == nil {
		return nil
	}
	return &repository.SoftQuota{Type: string(q.Type), Limit: q.Limit}
}

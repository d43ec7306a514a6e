package app

import (
	"context"
	"slices"
	"strings"

	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
	"github.com/repomgr/repomgr/core/repository"
	"github.com/repomgr/repomgr/core/task"
)

// The properties of a prefetch.
const (
	propertyRepository = "repositoryName"
	propertySource     = "sourceRepository"
	propertyNames      = "names"
	propertyTags       = "tags"
	propertyPlatforms  = "platforms"
	propertyLimit      = "limit"
	propertyReferrers  = "referrers"
	propertyDryRun     = "dryRun"
)

// prefetch is the type of the tasks that mirror what a filter names from an upstream server.
func prefetch(repositories *repository.Manager) task.Template {
	return task.Template{
		ID: "repository.prefetch", Name: "Repository - Prefetch from upstream",
		Help: "Fetches what the patterns name from an upstream server, so that it is there when it is asked for, and when the upstream server is not.",
		Properties: []task.Property{
			{ID: propertyRepository, Name: "Repository", Kind: task.Repository, Required: true,
				Help: "The proxy repository to fill from its upstream server, or a hosted repository to fill from that of another proxy."},
			{ID: propertySource, Name: "Source repository", Kind: task.Repository,
				Help: "For a hosted repository: the proxy repository of the same format whose upstream server is mirrored."},
			{ID: propertyNames, Name: "Names", Kind: task.Lines, Required: true,
				Help: "The images, or the paths of files, separated by commas or line breaks. In patterns * stands for any characters and ? for one; they need an upstream server that lists its content."},
			{ID: propertyTags, Name: "Tags", Kind: task.Lines,
				Help: "Tags, patterns of tags, and constraints on versions such as semver:>=1.2 <2, separated by commas or line breaks. Empty: all."},
			{ID: propertyPlatforms, Name: "Platforms", Kind: task.Lines,
				Help: "The platforms wanted of images for several, such as linux/amd64 or linux/arm/v7, separated by commas or line breaks. Empty: all."},
			{ID: propertyLimit, Name: "Limit", Kind: task.Number,
				Help: "At most so many tags of each image, the newest versions first; tags that are named without a pattern don't count. Empty: all."},
			{ID: propertyReferrers, Name: "Referrers", Kind: task.Boolean, Default: "false",
				Help: "Also what is about the images: signatures, attestations, SBOMs."},
			{ID: propertyDryRun, Name: "Dry run", Kind: task.Boolean, Default: "false",
				Help: "Only tell what would be mirrored."},
		},
		Check: func(_ context.Context, p task.Properties) error {
			order, err := orderOf(p)
			if err != nil {
				return err
			}
			return repositories.CheckPrefetch(order)
		},
		Run: func(ctx context.Context, p task.Properties, progress *task.Progress) (string, error) {
			order, err := orderOf(p)
			if err != nil {
				return "", err
			}
			return repositories.Prefetch(ctx, order, progress)
		},
	}
}

// orderOf reads the properties of a prefetch.
func orderOf(p task.Properties) (repository.Prefetch, error) {
	platforms := strings.FieldsFunc(p[propertyPlatforms], func(c rune) bool { return c == ',' || c == '\n' || c == '\r' || c == ' ' })
	for _, platform := range platforms {
		if parts := strings.Split(platform, "/"); len(parts) < 2 || len(parts) > 3 || slices.Contains(parts, "") {
			return repository.Prefetch{}, errs.Field(propertyPlatforms, "%.100q is no platform: they are of the form os/architecture or os/architecture/variant", platform)
		}
	}
	return repository.Prefetch{
		Repository: p[propertyRepository], Source: p[propertySource], Names: p[propertyNames], Versions: p[propertyTags], Limit: p.Number(propertyLimit),
		Want: format.Wanted{Platforms: platforms, Referrers: p.Bool(propertyReferrers)}, DryRun: p.Bool(propertyDryRun),
	}, nil
}

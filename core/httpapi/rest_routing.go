package httpapi

import (
	"context"

	"github.com/repomgr/repomgr/api"
	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/repository"
)

// GetRoutingRules is the generated operation.
func (s *server) GetRoutingRules(ctx context.Context, _ api.GetRoutingRulesRequestObject) (api.GetRoutingRulesResponseObject, error) {
	if err := s.choosesRules(ctx); err != nil {
		return nil, err
	}
	all, err := s.RoutingRules.List(ctx)
	if err != nil {
		return nil, err
	}
	answer := make(api.GetRoutingRules200JSONResponse, len(all))
	for i, r := range all {
		answer[i] = showRule(r)
	}
	return answer, nil
}

// GetRoutingRule is the generated operation.
func (s *server) GetRoutingRule(ctx context.Context, r api.GetRoutingRuleRequestObject) (api.GetRoutingRuleResponseObject, error) {
	if err := s.choosesRules(ctx); err != nil {
		return nil, err
	}
	found, err := s.RoutingRules.Get(ctx, r.Name)
	return api.GetRoutingRule200JSONResponse(showRule(found)), err
}

// CreateRoutingRule is the generated operation.
func (s *server) CreateRoutingRule(ctx context.Context, r api.CreateRoutingRuleRequestObject) (api.CreateRoutingRuleResponseObject, error) {
	return api.CreateRoutingRule204Response{}, s.RoutingRules.Create(ctx, readRule(*r.Body))
}

// UpdateRoutingRule is the generated operation.
func (s *server) UpdateRoutingRule(ctx context.Context, r api.UpdateRoutingRuleRequestObject) (api.UpdateRoutingRuleResponseObject, error) {
	if _, err := s.RoutingRules.Get(ctx, r.Name); err != nil {
		return nil, err
	}
	if r.Body.Name != r.Name {
		return nil, errs.Field("name", "Renaming a routing rule is not supported")
	}
	return api.UpdateRoutingRule204Response{}, s.RoutingRules.Update(ctx, readRule(*r.Body))
}

// DeleteRoutingRule is the generated operation.
func (s *server) DeleteRoutingRule(ctx context.Context, r api.DeleteRoutingRuleRequestObject) (api.DeleteRoutingRuleResponseObject, error) {
	if err := s.RoutingRules.Delete(ctx, r.Name); err != nil {
		return nil, refused(err)
	}
	return api.DeleteRoutingRule204Response{}, nil
}

// TestRoutingRule is the generated operation.
func (s *server) TestRoutingRule(_ context.Context, r api.TestRoutingRuleRequestObject) (api.TestRoutingRuleResponseObject, error) {
	allowed, err := s.RoutingRules.Test(repository.RoutingRule{Mode: string(r.Body.Mode), Matchers: r.Body.Matchers}, r.Body.Path)
	return api.TestRoutingRule200JSONResponse{Allowed: allowed}, err
}

// choosesRules refuses those who may not add a repository, of whatever format or name: they have no use for rules.
func (s *server) choosesRules(ctx context.Context) error {
	all, err := s.Repositories.List(ctx)
	if err != nil {
		return err
	}
	for _, f := range s.Formats {
		all = append(all, repository.Config{Format: f.Describe().Name, Name: "*"})
	}
	for _, c := range all {
		if s.administers(ctx, c, content.Add) {
			return nil
		}
	}
	return refusal(callOf(ctx).Principal)
}

func showRule(r repository.RoutingRule) api.RoutingRuleXO {
	return api.RoutingRuleXO{Name: r.Name, Description: &r.Description, Mode: api.RoutingRuleMode(r.Mode), Matchers: r.Matchers}
}

func readRule(r api.RoutingRuleXO) repository.RoutingRule {
	return repository.RoutingRule{Name: r.Name, Description: or(r.Description, ""), Mode: string(r.Mode), Matchers: r.Matchers}
}

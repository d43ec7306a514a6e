package store

import (
	"context"
	"fmt"

	"github.com/repomgr/repomgr/core/errs"
)

// RoutingRule is a routing rule's row.
type RoutingRule struct {
	Name string
	// Config is the rule in JSON.
	Config string
}

// RoutingRules returns all routing rules in order of name.
func (s *Store) RoutingRules(ctx context.Context) ([]RoutingRule, error) {
	var rows []RoutingRule
	_, err := s.scan(ctx, &rows, `SELECT name, config FROM routing_rules ORDER BY name`)
	return rows, err
}

// RoutingRule returns the rule of that name; a NotFound error when there is none.
func (s *Store) RoutingRule(ctx context.Context, name string) (RoutingRule, error) {
	var row RoutingRule
	n, err := s.scan(ctx, &row, `SELECT name, config FROM routing_rules WHERE name = ?`, name)
	if err == nil && n == 0 {
		err = noRoutingRule(name)
	}
	return row, err
}

func noRoutingRule(name string) error {
	return errs.New(errs.NotFound, "Did not find a routing rule with the name '%s'", name)
}

// CreateRoutingRule records a new rule. Names are unique ignoring case.
func (tx *Tx) CreateRoutingRule(r RoutingRule) error {
	var one int
	if n, err := tx.scan(&one, `SELECT 1 FROM routing_rules WHERE lower(name) = lower(?)`, r.Name); err != nil {
		return err
	} else if n > 0 {
		return errs.Field("name", "A rule with the same name already exists. Name must be unique.")
	}
	if _, err := tx.exec(`INSERT INTO routing_rules (name, config, created_at, updated_at) VALUES (?, ?, $NOW, $NOW)`, r.Name, r.Config); err != nil {
		return fmt.Errorf("create routing rule %s: %w", r.Name, err)
	}
	return nil
}

// UpdateRoutingRule replaces what a rule says.
func (tx *Tx) UpdateRoutingRule(r RoutingRule) error {
	n, err := tx.exec(`UPDATE routing_rules SET config = ?, updated_at = $NOW WHERE name = ?`, r.Config, r.Name)
	if err != nil {
		return fmt.Errorf("update routing rule %s: %w", r.Name, err)
	}
	if n == 0 {
		return noRoutingRule(r.Name)
	}
	return nil
}

// DeleteRoutingRule removes a rule that no repository uses; a Conflict error otherwise.
func (tx *Tx) DeleteRoutingRule(name string) error {
	var users int
	if _, err := tx.scan(&users, `SELECT count(*) FROM repositories WHERE routing_rule = ?`, name); err != nil {
		return err
	}
	if users > 0 {
		return errs.New(errs.Conflict, "Routing rule is still in use by %d repositories.", users)
	}
	n, err := tx.exec(`DELETE FROM routing_rules WHERE name = ?`, name)
	if err != nil {
		return fmt.Errorf("delete routing rule %s: %w", name, err)
	}
	if n == 0 {
		return noRoutingRule(name)
	}
	return nil
}

// SetRoutingRule records which rule a repository uses; an empty name is none. A name that isn't there is an Invalid error. Until the
// repository is deleted or uses another one, the rule can't be deleted.
func (tx *Tx) SetRoutingRule(repositoryID int64, name string) error {
	var rule *string
	if name != "" {
		var one int
		n, err := tx.scan(&one, `SELECT 1 FROM routing_rules WHERE name = ?`, name)
		if err != nil {
			return err
		}
		if n == 0 {
			return UnknownRoutingRule(name)
		}
		rule = &name
	}
	if _, err := tx.exec(`UPDATE repositories SET routing_rule = ? WHERE id = ?`, rule, repositoryID); err != nil {
		return fmt.Errorf("set the routing rule of repository %d: %w", repositoryID, err)
	}
	return nil
}

// UnknownRoutingRule is the error about a repository's configuration that names a rule that isn't there.
func UnknownRoutingRule(name string) error {
	return errs.Field("routingRuleName", "Routing rule does not exist: %s", name)
}

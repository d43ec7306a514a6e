package httpapi

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/repomgr/repomgr/api"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/security"
)

// ReadAnonymousAccess is the generated operation.
func (s *server) ReadAnonymousAccess(context.Context, api.ReadAnonymousAccessRequestObject) (api.ReadAnonymousAccessResponseObject, error) {
	return api.ReadAnonymousAccess200JSONResponse(anonymous(s.Security.Anonymous())), nil
}

// UpdateAnonymousAccess is the generated operation.
func (s *server) UpdateAnonymousAccess(ctx context.Context, r api.UpdateAnonymousAccessRequestObject) (api.UpdateAnonymousAccessResponseObject, error) {
	set, err := s.Security.SetAnonymous(ctx, security.Anonymous{
		Enabled: r.Body.Enabled, UserID: value(r.Body.UserId), RealmName: value(r.Body.RealmName),
	})
	return api.UpdateAnonymousAccess200JSONResponse(anonymous(set)), err
}

func anonymous(a security.Anonymous) api.AnonymousAccessSettingsXO {
	return api.AnonymousAccessSettingsXO{Enabled: a.Enabled, UserId: &a.UserID, RealmName: &a.RealmName}
}

// value is what an optional field holds; empty when it was left out.
func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// GetUsers is the generated operation.
func (s *server) GetUsers(_ context.Context, r api.GetUsersRequestObject) (api.GetUsersResponseObject, error) {
	answer := api.GetUsers200JSONResponse{}
	for _, u := range s.Security.Users(value(r.Params.UserId)) {
		if source := value(r.Params.Source); source == "" || source == u.Source {
			answer = append(answer, user(u))
		}
	}
	return answer, nil
}

// CreateUser is the generated operation.
func (s *server) CreateUser(ctx context.Context, r api.CreateUserRequestObject) (api.CreateUserResponseObject, error) {
	b := r.Body
	u, err := s.Security.CreateUser(ctx, security.User{
		ID: b.UserId, FirstName: b.FirstName, LastName: b.LastName, Email: b.EmailAddress,
		Source: security.SourceLocal, Status: security.Status(b.Status), Roles: b.Roles,
	}, b.Password)
	return api.CreateUser200JSONResponse(user(u)), taken(err, "userId")
}

// UpdateUser is the generated operation.
func (s *server) UpdateUser(ctx context.Context, r api.UpdateUserRequestObject) (api.UpdateUserResponseObject, error) {
	b := r.Body
	if b.UserId != r.UserId {
		return nil, errs.Field("userId", "The path's userId does not match the body")
	}
	source := value(b.Source)
	if source == "" {
		source = security.SourceLocal
	}
	return api.UpdateUser204Response{}, s.Security.UpdateUser(ctx, security.User{
		ID: b.UserId, FirstName: b.FirstName, LastName: b.LastName, Email: b.EmailAddress,
		Source: source, Status: security.Status(b.Status), Roles: b.Roles,
	})
}

// DeleteUser is the generated operation.
func (s *server) DeleteUser(ctx context.Context, r api.DeleteUserRequestObject) (api.DeleteUserResponseObject, error) {
	if err := s.Security.DeleteUser(ctx, r.UserId); err != nil {
		return nil, refused(err)
	}
	return api.DeleteUser204Response{}, nil
}

// ChangePassword is the generated operation.
func (s *server) ChangePassword(ctx context.Context, r api.ChangePasswordRequestObject) (api.ChangePasswordResponseObject, error) {
	return api.ChangePassword204Response{}, s.Security.ChangePassword(ctx, r.UserId, *r.Body)
}

func user(u security.User) api.ApiUser {
	return api.ApiUser{
		UserId: u.ID, FirstName: u.FirstName, LastName: u.LastName, EmailAddress: u.Email, Source: u.Source,
		Status: api.UserStatus(u.Status), Roles: append([]string{}, u.Roles...), ExternalRoles: []string{},
	}
}

// GetRoles is the generated operation.
func (s *server) GetRoles(_ context.Context, r api.GetRolesRequestObject) (api.GetRolesResponseObject, error) {
	if source := value(r.Params.Source); source != "" && source != security.SourceLocal {
		return nil, sentence{http.StatusBadRequest, "Source '" + source + "' not found."}
	}
	answer := api.GetRoles200JSONResponse{}
	for _, role := range security.Roles() {
		answer = append(answer, api.RoleXOResponse{
			Id: role.ID, Source: security.SourceLocal, Name: role.Name, Description: role.Description, ReadOnly: true,
			Privileges: privileges(role.Permissions), Roles: []string{},
		})
	}
	return answer, nil
}

// privileges are the names of the built-in privileges that stand for the permissions (nexus-api.md section 6.3): one for
// each action, "nexus:users:read" is "nx-users-read".
func privileges(permissions []string) []string {
	names := []string{}
	for _, p := range permissions {
		rest := strings.TrimPrefix(p, "nexus:")
		cut := strings.LastIndex(rest, ":")
		switch {
		case rest == "*":
			names = append(names, "nx-all")
			continue
		case cut < 0 || strings.HasPrefix(rest, "userschangepw:"):
			domain, _, _ := strings.Cut(rest, ":")
			names = append(names, "nx-"+domain)
			continue
		}
		for action := range strings.SplitSeq(rest[cut+1:], ",") {
			names = append(names, "nx-"+strings.ReplaceAll(rest[:cut], ":", "-")+"-"+action)
		}
	}
	slices.Sort(names)
	return names
}

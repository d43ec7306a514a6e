package security

// Role is a named set of permissions.
type Role struct {
	ID, Name, Description string
	// Permissions are in the words of Permission.
	Permissions []string
}

// The roles that every server has.
const (
	RoleAdmin       = "nx-admin"
	RoleAnonymous   = "nx-anonymous"
	RoleContributor = "contributor"
)

// Roles returns the roles that there are, in the order of their ids. They can't be changed.
func Roles() []Role {
	return []Role{
		{
			ID: RoleContributor, Name: RoleContributor,
			Description: "Creates repositories and uploads; deletes nothing and manages no users",
			Permissions: []string{
				"nexus:repository-view:*:*:browse,read,add,edit",
				"nexus:repository-admin:*:*:browse,read,add",
				// a new repository names a blob store
				"nexus:blobstores:read",
				"nexus:search:read",
				"nexus:healthcheck:read",
				"nexus:userschangepw:create,read",
			},
		},
		{
			ID: RoleAdmin, Name: RoleAdmin, Description: "Administrator Role",
			Permissions: []string{"nexus:*"},
		},
		{
			ID: RoleAnonymous, Name: RoleAnonymous, Description: "Anonymous Role",
			Permissions: []string{
				"nexus:search:read",
				"nexus:healthcheck:read",
				"nexus:repository-view:*:*:browse,read",
			},
		},
	}
}

// compile parses the roles' permissions, by role.
func compile(roles []Role) (map[string][]Permission, error) {
	compiled := make(map[string][]Permission, len(roles))
	for _, role := range roles {
		for _, text := range role.Permissions {
			p, err := ParsePermission(text)
			if err != nil {
				return nil, err
			}
			compiled[role.ID] = append(compiled[role.ID], p)
		}
	}
	return compiled, nil
}

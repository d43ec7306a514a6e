package httpapi

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/repomgr/repomgr/core/content"
	"github.com/repomgr/repomgr/core/errs"
	"github.com/repomgr/repomgr/core/format"
	"github.com/repomgr/repomgr/core/repository"
)

// createRepository creates a repository of the format and type that the path names, from the body of the request.
func (s *server) createRepository(ctx context.Context, format, typ string, body json.RawMessage) error {
	c, err := s.parse(format, typ, body)
	if err != nil {
		return err
	}
	if !s.administers(ctx, c, content.Add) {
		return refusal(callOf(ctx).Principal)
	}
	if err := s.Repositories.Create(ctx, c); err != nil {
		return taken(err, "name")
	}
	return nil
}

// taken makes a Conflict about something to be created an error of the field.
func taken(err error, field string) error {
	if e := errs.As(err); e.Kind == errs.Conflict {
		return &errs.Error{Kind: errs.Invalid, Field: field, Message: e.Message, Err: err}
	}
	return err
}

// updateRepository replaces the settings of the repository.
func (s *server) updateRepository(ctx context.Context, format, typ, name string, body json.RawMessage) error {
	old, err := s.lookup(ctx, format, typ, name)
	if err != nil {
		return err
	}
	c, err := s.parse(format, typ, body)
	if err != nil {
		return err
	}
	if c.Name != old.Name {
		return errs.Field("name", "Renaming a repository is not supported")
	}
	return known(s.Repositories.Update(ctx, c))
}

// repositorySettings returns the settings of the repository, a JSON object.
func (s *server) repositorySettings(ctx context.Context, format, typ, name string) (json.RawMessage, error) {
	c, err := s.lookup(ctx, format, typ, name)
	if err != nil {
		return nil, err
	}
	return s.marshal(callOf(ctx), c)
}

// lookup returns the repository if it is of the format and type.
func (s *server) lookup(ctx context.Context, format, typ, name string) (repository.Config, error) {
	c, err := s.Repositories.Get(ctx, name)
	if err != nil {
		return c, known(err)
	}
	if f := s.formats[format]; f == nil || c.Format != f.Describe().Name || c.Type != typ {
		return c, errNoRepository()
	}
	return c, nil
}

// settingsRequest is what the bodies of all formats and types have in common.
type settingsRequest struct {
	Name    string `json:"name"`
	Online  *bool  `json:"online"`
	Storage struct {
		BlobStore                   string `json:"blobStoreName"`
		StrictContentTypeValidation bool   `json:"strictContentTypeValidation"`
		WritePolicy                 string `json:"writePolicy"`
		LatestPolicy                bool   `json:"latestPolicy"`
	} `json:"storage"`
	Cleanup   *repository.Cleanup   `json:"cleanup"`
	Component *repository.Component `json:"component"`
	// RoutingRuleName, or the older RoutingRule, is for proxies and groups.
	RoutingRuleName *string `json:"routingRuleName"`
	RoutingRule     *string `json:"routingRule"`
	// Group is for groups only.
	Group *struct {
		MemberNames    []string `json:"memberNames"`
		WritableMember *string  `json:"writableMember"`
	} `json:"group"`
}

// parse reads the settings of a repository. Other fields than the common ones and the format's own are ignored.
func (s *server) parse(name, typ string, body json.RawMessage) (repository.Config, error) {
	f, ok := s.formats[name]
	if !ok {
		return repository.Config{}, errs.New(errs.NotFound, "Unknown format '%s'", name)
	}
	var in settingsRequest
	var own map[string]json.RawMessage
	if err := errors.Join(json.Unmarshal(body, &own), json.Unmarshal(body, &in)); err != nil {
		return repository.Config{}, mismatch(err)
	}
	d := f.Describe()
	c := repository.Config{
		Name: in.Name, Format: d.Name, Type: typ, Online: in.Online == nil || *in.Online, Cleanup: in.Cleanup,
		Storage: repository.Storage{
			BlobStore: in.Storage.BlobStore, StrictContentTypeValidation: in.Storage.StrictContentTypeValidation,
		},
	}
	c.Settings = valueOf(own, d.Settings)
	if typ != repository.Hosted {
		c.RoutingRule = cmp.Or(or(in.RoutingRuleName, ""), or(in.RoutingRule, ""))
	}
	switch typ {
	case repository.Proxy:
		c.ProxySettings = valueOf(own, d.ProxySettings)
		return c, parseProxy(body, &c)
	case repository.Group:
		// Nexus has no cleanup of groups.
		c.Cleanup, c.Group = nil, &repository.GroupConfig{}
		if in.Group != nil {
			c.Group.MemberNames, c.Group.WritableMember = in.Group.MemberNames, or(in.Group.WritableMember, "")
		}
		return c, nil
	}
	policy, err := repository.ParseWritePolicy(in.Storage.WritePolicy)
	if err != nil {
		return repository.Config{}, err
	}
	c.Storage.WritePolicy, c.Storage.LatestPolicy = policy, in.Storage.LatestPolicy
	if c.Component = in.Component; c.Component == nil {
		c.Component = &repository.Component{}
	}
	return c, nil
}

// valueOf is the value of a key; nil when it is absent or null, or the key is empty.
func valueOf(of map[string]json.RawMessage, key string) json.RawMessage {
	if raw := of[key]; key != "" && len(raw) > 0 && string(raw) != "null" {
		return raw
	}
	return nil
}

// mismatch is the error for input that doesn't fit; it names the field of the JSON that is to blame.
func mismatch(err error) error {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return errs.Field(wrong.Field, "a %s has no place here", wrong.Value)
	}
	return errs.Wrap(errs.Invalid, err, "malformed request")
}

// marshal renders the settings of a repository as the API shows them: always with all fields, the format's own ones with
// their defaults.
func (s *server) marshal(caller call, c repository.Config) (json.RawMessage, error) {
	o := object{}
	o.add("name", c.Name)
	o.add("format", c.Format)
	o.add("type", c.Type)
	o.add("url", caller.repositoryURL(c.Name))
	o.add("online", c.Online)
	o.add("storage", storage(c, s.formats[c.Format]))
	if c.Cleanup != nil && c.Cleanup.PolicyNames == nil {
		c.Cleanup = &repository.Cleanup{PolicyNames: []string{}}
	}
	if c.Type != repository.Group {
		o.add("cleanup", c.Cleanup)
	}
	switch c.Type {
	case repository.Proxy:
		o.addProxy(c)
	case repository.Group:
		o.add("group", c.Group)
		o.add("routingRuleName", set(c.RoutingRule))
	}
	if f := s.formats[c.Format]; f != nil {
		o.addOwn(f, c)
	}
	if c.Type == repository.Hosted {
		if c.Component == nil {
			c.Component = &repository.Component{}
		}
		o.add("component", c.Component)
	}
	raw, err := o.close()
	if err != nil {
		return nil, fmt.Errorf("marshal the settings of repository %s: %w", c.Name, err)
	}
	return raw, nil
}

// storage is a repository's storage; only hosted ones have write policies, and only of some formats one for what is latest.
func storage(c repository.Config, f format.Format) any {
	s := struct {
		BlobStore                   string                  `json:"blobStoreName"`
		StrictContentTypeValidation bool                    `json:"strictContentTypeValidation"`
		WritePolicy                 *repository.WritePolicy `json:"writePolicy,omitempty"`
		LatestPolicy                *bool                   `json:"latestPolicy,omitempty"`
	}{BlobStore: c.Storage.BlobStore, StrictContentTypeValidation: c.Storage.StrictContentTypeValidation}
	if c.Type == repository.Hosted {
		s.WritePolicy = &c.Storage.WritePolicy
		if f != nil && f.Describe().Latest {
			s.LatestPolicy = &c.Storage.LatestPolicy
		}
	}
	return s
}

// addOwn adds the format's own settings.
func (o *object) addOwn(f format.Format, c repository.Config) {
	d := f.Describe()
	if d.Settings != "" {
		o.add(d.Settings, settings(f, c))
	}
	if d.ProxySettings != "" && c.Type == repository.Proxy {
		o.add(d.ProxySettings, proxySettings(f, c))
	}
}

// settings are the format's own settings with their defaults, or as they are stored if the format no longer takes them.
func settings(f format.Format, c repository.Config) any {
	if settler, ok := f.(format.Settler); ok {
		if own, _, err := settler.Settings(c.Settings); err == nil {
			return own
		}
	}
	return c.Settings
}

// proxySettings is settings for those of proxies.
func proxySettings(f format.Format, c repository.Config) any {
	if settler, ok := f.(format.ProxySettler); ok {
		if own, err := settler.ProxySettings(c.ProxySettings); err == nil {
			return own
		}
	}
	return c.ProxySettings
}

// object builds a JSON object whose members stand in the order in which they were added.
type object struct {
	out bytes.Buffer
	err error
}

func (o *object) add(key string, v any) {
	name, err := json.Marshal(key)
	value, err2 := json.Marshal(v)
	o.err = errors.Join(o.err, err, err2)
	separator := byte(',')
	if o.out.Len() == 0 {
		separator = '{'
	}
	o.out.WriteByte(separator)
	o.out.Write(name)
	o.out.WriteByte(':')
	o.out.Write(value)
}

func (o *object) close() (json.RawMessage, error) {
	o.out.WriteByte('}')
	return o.out.Bytes(), o.err
}

package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// FileName is the name of the configuration file in the data directory.
const FileName = "repomgr.yaml"

// Flags are the command-line flags that were given, by name.
type Flags map[string]string

// Sources say where each setting's value comes from, by key: "default", "<file>:<line>", a variable, or "--<flag>".
type Sources map[string]string

// Load returns the configuration that the flags and the environment, as os.Environ returns it, lead to. Whatever is
// unknown or not allowed is an error of one line that names the setting, its source and what is allowed. A variable
// that is empty counts as not set.
func Load(flags Flags, env []string) (Config, Sources, error) {
	variables, err := variables(env)
	if err != nil {
		return Config{}, nil, err
	}
	l := loader{sources: Sources{}}
	given := func(s Setting) (value, source string, ok bool) {
		if v, ok := flags[s.Flag]; ok && s.Flag != "" {
			return v, "--" + s.Flag, true
		}
		return variables[s.Env], s.Env, variables[s.Env] != ""
	}
	f, err := findFile(given)
	if err != nil {
		return Config{}, nil, err
	}
	for _, s := range Settings() {
		value, source, ok := given(s)
		if entry, inFile := f.found[s.Key]; !ok && inFile {
			value, source, ok = entry.value, fmt.Sprintf("%s:%d", f.path, entry.line), true
		}
		if !ok {
			value, source = s.Default, byDefault
		}
		if err := l.set(s, value, source); err != nil {
			return Config{}, nil, err
		}
	}
	return l.config, l.sources, l.check()
}

const byDefault = "default"

type loader struct {
	config  Config
	sources Sources
}

func (l *loader) set(s Setting, value, source string) error {
	if s.bind == nil {
		return nil
	}
	l.sources[s.Key] = source
	if source == byDefault && value == "" {
		return nil
	}
	if err := s.bind(&l.config).set(value); err == nil {
		return nil
	}
	if s.Secret {
		return fmt.Errorf("%s: %s must be %s", source, s.Key, s.Allowed)
	}
	return fmt.Errorf("%s: %s must be %s, not %q", source, s.Key, s.Allowed, value)
}

// check looks at settings that must fit together.
func (l *loader) check() error {
	if err := l.checkPresets(); err != nil {
		return err
	}
	if c := l.config; (c.TLSCertificate == "") != (c.TLSKey == "") || c.TLSListen != "" && c.TLSCertificate == "" {
		return errors.New("tls.certificate and tls.key must be set together, and with tls.listen both")
	}
	return nil
}

// checkPresets looks at the ports of the presets' repositories, which must be there for them alone. The group's default is no cause
// not to start: there are servers that use its port for something else, and have had the preset before it had a group.
func (l *loader) checkPresets() error {
	if !slices.Contains(l.config.Presets, "docker") {
		return nil
	}
	const hosted, group = "presets.docker.port", "presets.docker.group.port"
	_, main, _ := net.SplitHostPort(l.config.Listen)
	for _, p := range []struct {
		key         string
		port        int
		other, than string
	}{
		{hosted, l.config.PresetDockerPort, "listen", main},
		{group, l.config.PresetDockerGroupPort, "listen", main},
		{group, l.config.PresetDockerGroupPort, hosted, strconv.Itoa(l.config.PresetDockerPort)},
	} {
		if p.than == strconv.Itoa(p.port) && (p.key == hosted || l.sources[p.key] != byDefault) {
			return fmt.Errorf("%s: %s must be another port than that of %s (%s), not %s", l.sources[p.key], p.key, p.other, l.sources[p.other], p.than)
		}
	}
	return nil
}

// findFile reads the file that the settings name, or the one in the data directory; without both it has nothing in it.
func findFile(given func(Setting) (value, source string, ok bool)) (*file, error) {
	if path, source, ok := given(setting("config")); ok {
		f, err := readFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s: there is no file %s", source, path)
		}
		return f, err
	}
	data, _, ok := given(setting("data"))
	if !ok {
		data = setting("data").Default
	}
	f, err := readFile(filepath.Join(data, FileName))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &file{}, nil
	case err != nil:
		return nil, err
	}
	if e, ok := f.found["data"]; ok {
		return nil, fmt.Errorf("%s:%d: data can't be set in the file that is found in the data directory; allowed are --data and REPOMGR_DATA", f.path, e.line)
	}
	return f, nil
}

const prefix = "REPOMGR_"

// variables are the settings' variables that are in the environment. An unknown one with the same prefix is an error.
func variables(env []string) (map[string]string, error) {
	var known []string
	for _, s := range Settings() {
		known = append(known, s.Env)
	}
	found := map[string]string{}
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		switch {
		case !strings.HasPrefix(name, prefix) || strings.HasPrefix(name, prefix+"TEST_") || isServiceLink(name, value):
		case !slices.Contains(known, name):
			return nil, fmt.Errorf("environment: unknown variable %s; allowed are %s", name, strings.Join(known, ", "))
		default:
			found[name] = value
		}
	}
	return found, nil
}

var (
	serviceLink = regexp.MustCompile(`^REPOMGR_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)$`)
	serviceURL  = regexp.MustCompile(`^(tcp|udp|sctp)://`)
)

// isServiceLink tells whether Kubernetes made the variable, as it does in each pod for a service named repomgr or
// repomgr-something (kubernetes.io, "Accessing the Service").
func isServiceLink(name, value string) bool {
	return serviceLink.MatchString(name) || strings.HasSuffix(name, "_PORT") && serviceURL.MatchString(value)
}

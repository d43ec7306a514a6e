package config

import (
	"fmt"
	"io"
	"strings"

	"github.com/goccy/go-yaml"
)

// Print writes the configuration as a YAML file, with where each value comes from as a comment. Secrets are masked.
func Print(w io.Writer, c Config, sources Sources) error {
	type line struct{ text, source string }
	var lines []line
	var above []string
	width := 0
	for _, s := range Settings() {
		if s.bind == nil {
			continue
		}
		path := strings.Split(s.Key, ".")
		parents, name := path[:len(path)-1], path[len(path)-1]
		for i, parent := range parents {
			if i >= len(above) || above[i] != parent {
				lines = append(lines, line{text: strings.Repeat("  ", i) + parent + ":"})
				above = append(above[:i:i], parent)
			}
		}
		above = above[:len(parents)]
		shown, err := show(s, &c)
		if err != nil {
			return fmt.Errorf("print %s: %w", s.Key, err)
		}
		text := strings.Repeat("  ", len(parents)) + name + ": " + shown
		width = max(width, len(text))
		lines = append(lines, line{text, sources[s.Key]})
	}
	for _, l := range lines {
		text := l.text + "\n"
		if l.source != "" {
			text = fmt.Sprintf("%-*s  # %s\n", width, l.text, l.source)
		}
		if _, err := io.WriteString(w, text); err != nil {
			return err
		}
	}
	return nil
}

// show is the setting's value as YAML.
func show(s Setting, c *Config) (string, error) {
	out, err := yaml.MarshalWithOptions(s.bind(c).show(), yaml.Flow(true))
	return strings.TrimSpace(string(out)), err
}

// Table is the table of settings in Markdown.
func Table() string {
	var b strings.Builder
	b.WriteString("| Key in the file | Environment | Flag | Default | Allowed | Meaning |\n|---|---|---|---|---|---|\n")
	code := func(s string) string {
		if s == "" {
			return ""
		}
		return "`" + s + "`"
	}
	for _, s := range Settings() {
		key, flag := s.Key, s.Flag
		if s.bind == nil {
			key = ""
		}
		if flag != "" {
			flag = "--" + flag
		}
		help := s.Help
		if s.Secret {
			help += " Secret: masked where it is printed."
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", code(key), code(s.Env), code(flag), code(s.Default), s.Allowed, help)
	}
	return b.String()
}

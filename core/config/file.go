package config

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// file is the settings that a YAML file makes.
type file struct {
	path string
	// found are the settings' values, by key, a list's with commas between its words.
	found map[string]entry
}

type entry struct {
	value string
	line  int
}

func readFile(path string) (*file, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("configuration file: %w", err)
	}
	f := &file{path: path, found: map[string]entry{}}
	tree, err := parser.ParseBytes(data, 0)
	if err != nil {
		return nil, f.syntax(err)
	}
	documents := slices.DeleteFunc(tree.Docs, func(d *ast.DocumentNode) bool { return d.Body == nil })
	if len(documents) > 1 {
		return nil, f.errorf(documents[1].Body, "more than one document")
	}
	for _, d := range documents {
		if d.Body.Type() == ast.CommentType || d.Body.Type() == ast.NullType {
			continue
		}
		if err := f.read("", d.Body); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// syntax is the parser's error in one line.
func (f *file) syntax(err error) error {
	var e yaml.Error
	if errors.As(err, &e) && e.GetToken() != nil {
		return fmt.Errorf("%s:%d: %s", f.path, e.GetToken().Position.Line, oneLine(e.GetMessage()))
	}
	return fmt.Errorf("%s: %s", f.path, oneLine(err.Error()))
}

func (f *file) errorf(at ast.Node, format string, args ...any) error {
	return fmt.Errorf("%s:%d: %s", f.path, at.GetToken().Position.Line, fmt.Sprintf(format, args...))
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// read takes in the mapping at prefix, which is empty or ends with a dot.
func (f *file) read(prefix string, n ast.Node) error {
	mapping, ok := n.(ast.MapNode)
	if !ok {
		if prefix == "" {
			return f.errorf(n, "must be a mapping with the keys %s", strings.Join(keysBelow(prefix), ", "))
		}
		return f.errorf(n, "%s must be a mapping with the keys %s", strings.TrimSuffix(prefix, "."), strings.Join(keysBelow(prefix), ", "))
	}
	for each := mapping.MapRange(); each.Next(); {
		name := each.Key().GetToken().Value
		key, known := prefix+name, keysBelow(prefix)
		if each.Key().IsMergeKey() || !slices.Contains(known, name) {
			if quoted := strconv.Quote(key); quoted != `"`+key+`"` || strings.Contains(key, " ") {
				key = quoted
			}
			return f.errorf(each.Key(), "unknown key %s; allowed here: %s", key, strings.Join(known, ", "))
		}
		if len(keysBelow(key+".")) > 0 {
			if err := f.read(key+".", each.Value()); err != nil {
				return err
			}
			continue
		}
		value, ok := plain(each.Value())
		if !ok {
			return f.errorf(each.Value(), "%s must be %s", key, setting(key).Allowed)
		}
		if _, twice := f.found[key]; twice {
			return f.errorf(each.Key(), "%s is set twice", key)
		}
		f.found[key] = entry{value, each.Key().GetToken().Position.Line}
	}
	return nil
}

// plain is the text of a scalar, or the texts of a list's scalars with commas between them.
func plain(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, true
	case *ast.SequenceNode:
		words := make([]string, len(n.Values))
		for i, v := range n.Values {
			word, ok := plain(v)
			if _, nested := v.(*ast.SequenceNode); nested || !ok {
				return "", false
			}
			words[i] = word
		}
		return strings.Join(words, ","), true
	}
	return "", false
}

// keysBelow are the names that may follow the prefix in a key of the file, in the table's order.
func keysBelow(prefix string) []string {
	var names []string
	for _, s := range Settings() {
		rest, ok := strings.CutPrefix(s.Key, prefix)
		if !ok || s.bind == nil {
			continue
		}
		name, _, _ := strings.Cut(rest, ".")
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

func setting(key string) Setting {
	table := Settings()
	return table[slices.IndexFunc(table, func(s Setting) bool { return s.Key == key })]
}

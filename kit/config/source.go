package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"

	"gopkg.in/yaml.v3"
)

// maxFileBytes bounds the YAML file.
const maxFileBytes = 1 << 20

const environmentPrefix = "BACKLOT_"

// EnvironmentName gives the environment variable of a setting.
func EnvironmentName(setting string) string {
	return environmentPrefix + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(setting))
}

// applyEnvironment sets what flags left alone. Variables that name no
// setting are left to others.
func (s *Set) applyEnvironment(environ []string, set map[string]bool) []error {
	values := map[string]string{}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		values[name] = value
	}
	var faults []error
	for _, name := range s.names() {
		variable := EnvironmentName(name)
		value, found := values[variable]
		if !found || set[name] {
			continue
		}
		if err := s.shared.flags.Set(name, value); err != nil {
			faults = append(faults, fmt.Errorf("environment variable %s: %w", variable, s.mask(name, err)))
		}
		set[name] = true
	}
	return faults
}

// applyFile sets what flags and the environment left alone.
func (s *Set) applyFile(path string, set map[string]bool) []error {
	values, err := readFile(path)
	if err != nil {
		return []error{fmt.Errorf("config: %w", err)}
	}
	keys := make([]string, 0, len(values))
	for key := range values {
		keys = append(keys, key)
	}
	sort.Strings(keys)

	byKey := map[string]string{}
	for name := range s.shared.settings {
		byKey[strings.ReplaceAll(name, "-", "_")] = name
	}
	var faults []error
	for _, key := range keys {
		name, known := byKey[strings.ReplaceAll(key, "-", "_")]
		switch {
		case !known:
			faults = append(faults, fmt.Errorf("%s: %w", path, s.unknown("setting ", key)))
		case set[name]:
		default:
			if err := s.shared.flags.Set(name, values[key]); err != nil {
				faults = append(faults, fmt.Errorf("%s: %s: %w", path, key, s.mask(name, err)))
			}
		}
	}
	return faults
}

// mask keeps a secret's value out of an error.
func (s *Set) mask(name string, err error) error {
	if s.shared.settings[name].secret {
		return errors.New("value is not valid")
	}
	return err
}

// readFile flattens a YAML file to dotted keys.
func readFile(path string) (map[string]string, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	content, err := io.ReadAll(io.LimitReader(file, maxFileBytes+1))
	if err != nil {
		return nil, err
	}
	if len(content) > maxFileBytes {
		return nil, fmt.Errorf("%s: larger than %d bytes", path, maxFileBytes)
	}
	values, err := parse(content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return values, nil
}

func parse(content []byte) (map[string]string, error) {
	var root map[string]yaml.Node
	if err := yaml.Unmarshal(content, &root); err != nil {
		return nil, err
	}
	values := map[string]string{}
	for key, node := range root {
		if err := flatten(key, &node, values); err != nil {
			return nil, err
		}
	}
	return values, nil
}

func flatten(key string, node *yaml.Node, into map[string]string) error {
	switch node.Kind {
	case yaml.ScalarNode:
		if node.Tag != "!!null" {
			into[key] = node.Value
		}
		return nil
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			if err := flatten(key+"."+node.Content[i].Value, node.Content[i+1], into); err != nil {
				return err
			}
		}
		return nil
	case yaml.SequenceNode:
		items := make([]string, 0, len(node.Content))
		for _, item := range node.Content {
			if item.Kind != yaml.ScalarNode {
				return fmt.Errorf("line %d: %s: a list holds plain values only", item.Line, key)
			}
			items = append(items, item.Value)
		}
		into[key] = strings.Join(items, ",")
		return nil
	default:
		return fmt.Errorf("line %d: %s: aliases are not supported", node.Line, key)
	}
}

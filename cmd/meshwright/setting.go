package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"sigs.k8s.io/yaml"
)

// lookupEnv is os.LookupEnv, or a test's.
type lookupEnv func(name string) (value string, ok bool)

// envName is the environment variable that stands for a flag: MESHWRIGHT_DATA_DIR
// for --data-dir.
func envName(flag string) string {
	return "MESHWRIGHT_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// nameEnv makes the help of each flag name its environment variable.
func nameEnv(flags *pflag.FlagSet) {
	flags.VisitAll(func(f *pflag.Flag) { f.Usage += " [" + envName(f.Name) + "]" })
}

// fillFlags gives each flag that the command line left out its value from the
// environment, else from the file; else it keeps its default. The error names
// where a bad value stands.
func fillFlags(flags *pflag.FlagSet, env lookupEnv, file settingsFile) error {
	var err error
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Changed || err != nil {
			return
		}
		value, from := "", ""
		if v, ok := env(envName(f.Name)); ok {
			value, from = v, "environment variable "+envName(f.Name)
		} else if v, ok := file.values[f.Name]; ok {
			value, from = v, file.path+": "+f.Name
		} else {
			return
		}
		if e := flags.Set(f.Name, value); e != nil {
			err = usagef("%s: %w", from, e)
		}
	})
	return err
}

// settingsFile holds the values of a file of settings by the names of flags.
// The zero value is no file.
type settingsFile struct {
	path   string
	values map[string]string
}

// readSettings reads a YAML file whose keys are names of flags. Any other key
// is refused with the list of those there are.
func readSettings(path string, flags *pflag.FlagSet) (settingsFile, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return settingsFile{}, usagef("read settings: %w", err)
	}
	var raw map[string]any
	if err := yaml.UnmarshalStrict(data, &raw); err != nil {
		return settingsFile{}, usagef("%s: %w", path, err)
	}
	file := settingsFile{path: path, values: map[string]string{}}
	var unknown []string
	for key, value := range raw {
		if flags.Lookup(key) == nil {
			unknown = append(unknown, key)
			continue
		}
		if file.values[key], err = settingText(value); err != nil {
			return settingsFile{}, usagef("%s: %s: %w", path, key, err)
		}
	}
	if len(unknown) > 0 {
		slices.Sort(unknown)
		return settingsFile{}, usagef("%s: unknown setting %s; the settings are %s",
			path, strings.Join(unknown, ", "), strings.Join(flagNames(flags), ", "))
	}
	return file, nil
}

func flagNames(flags *pflag.FlagSet) []string {
	var names []string
	flags.VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	return names // VisitAll goes in name order
}

// settingText writes a YAML value as the command line would.
func settingText(value any) (string, error) {
	switch v := value.(type) {
	case string:
		return v, nil
	case bool, int64, uint64, float64:
		return fmt.Sprint(v), nil
	case []any:
		items := make([]string, len(v))
		for i, item := range v {
			text, err := settingText(item)
			if err != nil {
				return "", err
			}
			items[i] = text
		}
		return strings.Join(items, ","), nil
	}
	return "", fmt.Errorf("must be a text, a number, true, false, or a list of these, is %T", value)
}

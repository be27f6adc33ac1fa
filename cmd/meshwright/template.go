package main

import (
	"bytes"
	"os"
	"text/template"

	"sigs.k8s.io/yaml"
)

// fillIn gives the placeholders of the files their values, as emcoctl does:
// each file is a Go template over the YAML file of values. Without a file of
// values the files are taken as they are.
func fillIn(sources []source, valuesFile string) ([]source, error) {
	if valuesFile == "" {
		return sources, nil
	}
	data, err := os.ReadFile(valuesFile)
	if err != nil {
		return nil, usagef("read values: %w", err)
	}
	var values map[string]any
	if err := yaml.UnmarshalStrict(data, &values); err != nil {
		return nil, usagef("%s: %w", valuesFile, err)
	}
	out := make([]source, len(sources))
	for i, s := range sources {
		t, err := template.New(s.name).Option("missingkey=error").Parse(string(s.data))
		if err != nil {
			return nil, &usageError{err}
		}
		var filled bytes.Buffer
		if err := t.Execute(&filled, values); err != nil {
			return nil, &usageError{err}
		}
		out[i] = source{name: s.name, data: filled.Bytes()}
	}
	return out, nil
}

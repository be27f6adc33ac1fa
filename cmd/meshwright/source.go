package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// source is one file of documents.
type source struct {
	name string // as messages call it
	data []byte
}

// readSources reads what the values of -f name, in their order: a file, every
// *.yaml, *.yml and *.json of a directory in name order, or "-" for stdin.
func readSources(names []string, stdin io.Reader) ([]source, error) {
	var out []source
	for _, name := range names {
		if name == "-" {
			data, err := io.ReadAll(stdin)
			if err != nil {
				return nil, fmt.Errorf("read standard input: %w", err)
			}
			out = append(out, source{name: "(stdin)", data: data})
			continue
		}
		files, err := filesOf(name)
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				return nil, &usageError{err}
			}
			out = append(out, source{name: file, data: data})
		}
	}
	return out, nil
}

// filesOf lists a directory's files of documents, or the one file itself.
func filesOf(name string) ([]string, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, &usageError{err}
	}
	if !info.IsDir() {
		return []string{name}, nil
	}
	entries, err := os.ReadDir(name) // in name order
	if err != nil {
		return nil, &usageError{err}
	}
	var files []string
	for _, e := range entries {
		if !e.IsDir() && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(e.Name())) {
			files = append(files, filepath.Join(name, e.Name()))
		}
	}
	if len(files) == 0 {
		return nil, usagef("directory %s holds no *.yaml, *.yml or *.json file", name)
	}
	return files, nil
}

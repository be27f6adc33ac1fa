package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"
)

// format is the value of -o.
type format string

const (
	asYAML  format = "yaml"
	asJSON  format = "json"
	asTable format = "table"
)

// String, Set and Type make a format the value of a flag.
func (f *format) String() string { return string(*f) }

// Type is what help calls the value.
func (f *format) Type() string { return "yaml|json|table" }

// Set takes one of the formats.
func (f *format) Set(s string) error {
	switch format(s) {
	case asYAML, asJSON, asTable:
		*f = format(s)
		return nil
	}
	return fmt.Errorf("must be yaml, json or table")
}

// addOutputFlag gives a command its -o. *f holds the default, which usage says.
func addOutputFlag(cmd *cobra.Command, f *format, usage string) {
	cmd.Flags().VarP(f, "output", "o", usage)
	// The only error is a flag that does not exist.
	_ = cmd.RegisterFlagCompletionFunc("output",
		cobra.FixedCompletions([]string{string(asYAML), string(asJSON), string(asTable)}, cobra.ShellCompDirectiveNoFileComp))
}

// show prints a value: several as YAML are a stream of documents. table fills
// in the rows, cells apart by tabs.
func show(w io.Writer, f format, value any, table func(w io.Writer)) error {
	switch f {
	case asTable:
		return showTable(w, table)
	case asJSON:
		var out bytes.Buffer
		encoder := json.NewEncoder(&out)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(value); err != nil {
			return fmt.Errorf("encode answer: %w", err)
		}
		_, err := out.WriteTo(w)
		return err
	}
	values, isList := value.([]map[string]any)
	if !isList {
		return showYAML(w, value)
	}
	for i, v := range values {
		if i > 0 {
			fmt.Fprintln(w, "---")
		}
		if err := showYAML(w, v); err != nil {
			return err
		}
	}
	return nil
}

func showYAML(w io.Writer, value any) error {
	out, err := yaml.Marshal(value)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	_, err = w.Write(out)
	return err
}

func showTable(w io.Writer, table func(w io.Writer)) error {
	tw := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	table(tw)
	return tw.Flush()
}

// row writes cells as a row of a table; an empty one shows as "-".
func row(w io.Writer, cells ...any) {
	texts := make([]string, len(cells))
	for i, c := range cells {
		if texts[i] = fmt.Sprint(c); texts[i] == "" || c == nil {
			texts[i] = "-"
		}
	}
	fmt.Fprintln(w, strings.Join(texts, "\t"))
}

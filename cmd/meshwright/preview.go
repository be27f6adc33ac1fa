package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"sigs.k8s.io/yaml"
)

// preview is the server's answer to a dry run: what each cluster would see.
type preview struct {
	Clusters []struct {
		Cluster string            `json:"cluster"`
		Added   []manifest        `json:"added"`
		Changed []changedManifest `json:"changed"`
		Removed []changedManifest `json:"removed"`
	} `json:"clusters"`
	Warnings []string `json:"warnings"`
}

// manifest is the part of a Kubernetes object that names it.
type manifest struct {
	Kind     string `json:"kind"`
	Metadata struct {
		Namespace string `json:"namespace"`
		Name      string `json:"name"`
	} `json:"metadata"`
}

type changedManifest struct {
	Kind      string          `json:"kind"`
	Namespace string          `json:"namespace"`
	Name      string          `json:"name"`
	Patch     json.RawMessage `json:"patch"` // a JSON merge patch
}

// show prints the changes, cluster by cluster: + added, ~ changed with the
// members that change, - removed.
func (p *preview) show(w io.Writer) error {
	if len(p.Clusters) == 0 {
		_, err := fmt.Fprintln(w, "no cluster would see a change")
		return err
	}
	for _, c := range p.Clusters {
		fmt.Fprintf(w, "cluster %s\n", c.Cluster)
		for _, o := range c.Added {
			fmt.Fprintf(w, "  + %s %s/%s\n", o.Kind, o.Metadata.Namespace, o.Metadata.Name)
		}
		for _, o := range c.Changed {
			fmt.Fprintf(w, "  ~ %s %s/%s\n", o.Kind, o.Namespace, o.Name)
			patch, err := yaml.JSONToYAML(o.Patch)
			if err != nil {
				return fmt.Errorf("patch of %s %s/%s: %w", o.Kind, o.Namespace, o.Name, err)
			}
			fmt.Fprintln(w, indent(string(patch), "      "))
		}
		for _, o := range c.Removed {
			fmt.Fprintf(w, "  - %s %s/%s\n", o.Kind, o.Namespace, o.Name)
		}
	}
	return nil
}

func indent(text, by string) string {
	return by + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n"+by)
}

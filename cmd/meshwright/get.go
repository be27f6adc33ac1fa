package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

const getLong = `Print an object, or all objects of a collection. As YAML and JSON they are documents that apply takes.`

// newGet is `meshwright get`.
func newGet(conn *connection) *cobra.Command {
	var f format
	var selector string
	cmd := &cobra.Command{
		Use:   "get PATH|COLLECTION",
		Short: "Print an object, or all objects of a collection",
		Long:  getLong,
		Example: "  meshwright get /v2/cluster-providers/edge/clusters\n" +
			"  meshwright get -o json /v2/cluster-providers/edge/clusters/shop-1",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completePath(conn),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := restPath(args[0])
			isItem := namesObject(path)
			if isCollection := namesObject(path + "/x"); !isItem && !isCollection {
				return usagef("%q is the path of no object and of no collection", args[0])
			}
			c, err := conn.open()
			if err != nil {
				return err
			}
			if isItem {
				return getItem(cmd.Context(), c, cmd.OutOrStdout(), path, f)
			}
			return getCollection(cmd.Context(), c, cmd.OutOrStdout(), path, selector, f)
		},
	}
	addOutputFlag(cmd, &f, "how to print (default yaml for an object, table for a collection)")
	cmd.Flags().StringVarP(&selector, "selector", "l", "", "of a collection, only the objects with these labels: key=value,...")
	return cmd
}

func getItem(ctx context.Context, c *client, w io.Writer, path string, f format) error {
	var object map[string]any
	if err := c.getJSON(ctx, path, nil, &object); err != nil {
		return err
	}
	object["anchor"] = path
	if f == "" {
		f = asYAML
	}
	return show(w, f, object, func(w io.Writer) { objectTable(w, []map[string]any{object}) })
}

func getCollection(ctx context.Context, c *client, w io.Writer, path, selector string, f format) error {
	query := map[string][]string{}
	if selector != "" {
		query["labelSelector"] = []string{selector}
	}
	objects := []map[string]any{}
	if err := c.getJSON(ctx, path, query, &objects); err != nil {
		return err
	}
	for _, o := range objects {
		metadata, _ := o["metadata"].(map[string]any)
		o["anchor"] = fmt.Sprintf("%s/%v", path, metadata["name"])
	}
	if f == "" {
		f = asTable
	}
	return show(w, f, objects, func(w io.Writer) { objectTable(w, objects) })
}

// objectTable prints what every object has.
func objectTable(w io.Writer, objects []map[string]any) {
	row(w, "NAME", "VERSION", "GENERATION", "UPDATED", "LABELS", "DESCRIPTION")
	for _, o := range objects {
		m, _ := o["metadata"].(map[string]any)
		row(w, m["name"], m["resourceVersion"], m["generation"], m["updatedAt"], labelText(m["labels"]), m["description"])
	}
}

func labelText(labels any) string {
	m, _ := labels.(map[string]any)
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%s=%v", k, m[k]))
	}
	return strings.Join(parts, ",")
}

package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshwright/meshwright/intent"
)

// completePath offers what a typed path can grow into: the names in a
// collection as the server lists them, else the tree's own segments.
func completePath(conn *connection) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		if !strings.HasPrefix(typed, "/v2/") {
			typed = "/v2/"
		}
		base := typed[:strings.LastIndexByte(typed, '/')] // without the segment that is being typed
		if isCollection := namesObject(base + "/x"); isCollection {
			return namesIn(cmd.Context(), conn, base), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
		}
		return literalsBelow(base), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
}

// completionTimeout bounds how long a shell waits for names.
const completionTimeout = 2 * time.Second

// namesIn lists the items of a collection, or nothing when it can't be read.
func namesIn(ctx context.Context, conn *connection, collection string) []string {
	ctx, cancel := context.WithTimeout(ctx, completionTimeout)
	defer cancel()
	c, err := conn.open()
	if err != nil {
		return nil
	}
	var objects []struct {
		Metadata intent.Metadata `json:"metadata"`
	}
	if err := c.getJSON(ctx, collection, nil, &objects); err != nil {
		return nil
	}
	var out []string
	for _, o := range objects {
		out = append(out, collection+"/"+o.Metadata.Name)
	}
	return out
}

// literalsBelow lists the fixed segments that may follow a path. It knows
// nothing to offer where a name of the user's own follows.
func literalsBelow(base string) []string {
	segments := strings.Split(strings.Trim(base, "/"), "/")
	var out []string
	for _, kind := range intent.Kinds {
		template := strings.Split(strings.Trim(kind.Template(), "/"), "/")
		if len(template) <= len(segments) || strings.HasPrefix(template[len(segments)], "{") {
			continue
		}
		if followed(template, segments) {
			out = append(out, base+"/"+template[len(segments)])
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// followed reports whether the segments are a beginning of the template.
func followed(template, segments []string) bool {
	for i, s := range segments {
		if template[i] != s && !strings.HasPrefix(template[i], "{") {
			return false
		}
	}
	return true
}

package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/spf13/cobra"

	"github.com/meshwright/meshwright/intent"
)

const deleteLong = `Delete objects by path, or those that files describe. The lowest of the tree go first and clusters last; all are one
transaction, all or nothing, as long as they fit. An object that has others below it is refused unless --cascade takes
them along. An object that is not there is refused too, unless --ignore-absent says that this is well.`

// newDelete is `meshwright delete`.
func newDelete(conn *connection) *cobra.Command {
	var files []string
	var values string
	d := deleter{report: outcomes{format: asTable}}
	cmd := &cobra.Command{
		Use:               "delete PATH...|-f FILE|DIR|-",
		Short:             "Delete objects by path, or those that files describe",
		Long:              deleteLong,
		Example:           "  meshwright delete --cascade /v2/projects/shop/composite-apps/store/v1/deployment-intent-groups/prod\n  meshwright delete -f fleet.yaml",
		ValidArgsFunction: completePath(conn),
		RunE: func(cmd *cobra.Command, args []string) error {
			paths, err := pathsOf(cmd, args, files, values)
			if err != nil {
				return err
			}
			if d.client, err = conn.open(); err != nil {
				return err
			}
			d.report.out, d.report.notes = cmd.OutOrStdout(), cmd.ErrOrStderr()
			return d.report.end(d.delete(cmd, paths))
		},
	}
	addFileFlags(cmd, &files, &values)
	cmd.Flags().BoolVar(&d.cascade, "cascade", false, "delete what stands below the objects as well")
	cmd.Flags().BoolVar(&d.ignoreAbsent, "ignore-absent", false, "pass over objects that are not there")
	addOutputFlag(cmd, &d.report.format, "how to print what was deleted")
	return cmd
}

// pathsOf lists the objects that a command line names by path or by file, in
// the order of their deletion.
func pathsOf(cmd *cobra.Command, args, files []string, values string) ([]intent.Path, error) {
	if (len(args) == 0) == (len(files) == 0) {
		return nil, usagef("what to delete? Give paths, or files with -f")
	}
	var paths []intent.Path
	for _, arg := range args {
		path, _, err := intent.ParsePath(restPath(arg))
		if err != nil {
			return nil, &usageError{err}
		}
		paths = append(paths, path)
	}
	if len(files) > 0 {
		docs, err := readFiles(cmd, files, values)
		if err != nil {
			return nil, err
		}
		for _, d := range docs.objects {
			if d.action != keyValues { // gateways go with their cluster
				paths = append(paths, d.path)
			}
		}
		slices.Reverse(paths)
	}
	slices.SortStableFunc(paths, func(a, b intent.Path) int { return depth(b) - depth(a) })
	return unique(paths), nil
}

// unique keeps the first of equal paths.
func unique(paths []intent.Path) []intent.Path {
	seen := map[intent.Path]bool{}
	return slices.DeleteFunc(paths, func(p intent.Path) bool {
		twice := seen[p]
		seen[p] = true
		return twice
	})
}

// deleter carries out one delete.
type deleter struct {
	client       *client
	cascade      bool
	ignoreAbsent bool
	report       outcomes
}

func (d *deleter) delete(cmd *cobra.Command, paths []intent.Path) error {
	if d.ignoreAbsent {
		var err error
		if paths, err = d.present(cmd.Context(), paths); err != nil {
			return err
		}
	}
	var ops []operation
	for _, p := range paths {
		ops = append(ops, operation{Method: intent.Delete, Path: string(p), Cascade: d.cascade})
	}
	batches := batch(ops)
	if len(batches) > 1 {
		fmt.Fprintf(cmd.ErrOrStderr(), "%d objects go as %d transactions: each is applied as a whole or not at all, all of them together are not\n", len(ops), len(batches))
	}
	for _, b := range batches {
		if err := transact(cmd.Context(), d.client, b, &d.report); err != nil {
			return err
		}
	}
	return nil
}

// present keeps the paths at which there is an object.
func (d *deleter) present(ctx context.Context, paths []intent.Path) ([]intent.Path, error) {
	var out []intent.Path
	for _, p := range paths {
		_, err := d.client.do(ctx, request{method: http.MethodGet, path: string(p)})
		switch {
		case err == nil:
			out = append(out, p)
		case !notFound(err):
			return nil, err
		}
	}
	return out, nil
}

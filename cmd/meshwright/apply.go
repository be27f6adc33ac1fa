package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/meshwright/meshwright/intent"
)

const applyLong = `Create or replace the objects that files describe. A document is

  anchor: /v2/cluster-providers/edge/clusters   # the object's REST path, or its collection
  metadata:
    name: shop-1
  spec: {}

A file holds any number of documents. Clusters are applied first, then the rest from the top of the tree down. All go to
the server as one transaction, all or nothing, as long as they fit: up to 1,000 objects and 1 MiB. More than that go as
several transactions, and apply says so. What the server warns of goes to standard error.

Files of EMCO's emcoctl (version: emco/v2, resourceContext.anchor) are taken as they are; --values fills in their
{{ .Name }} placeholders. What Meshwright has no resource for is named and skipped.`

// newApply is `meshwright apply`.
func newApply(conn *connection) *cobra.Command {
	var files []string
	var values string
	a := applier{format: asTable}
	cmd := &cobra.Command{
		Use:   "apply -f FILE|DIR|-",
		Short: "Create or replace the objects that files describe",
		Long:  applyLong,
		Example: "  meshwright apply -f fleet.yaml\n" +
			"  meshwright apply --dry-run -f intents/",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			docs, err := readFiles(cmd, files, values)
			if err != nil {
				return err
			}
			if a.client, err = conn.open(); err != nil {
				return err
			}
			a.out, a.notes = cmd.OutOrStdout(), cmd.ErrOrStderr()
			return a.apply(cmd.Context(), docs)
		},
	}
	addFileFlags(cmd, &files, &values)
	cmd.Flags().BoolVar(&a.dryRun, "dry-run", false, "change nothing; show what each cluster would see")
	addOutputFlag(cmd, &a.format, "how to print what changed")
	return cmd
}

// addFileFlags gives a command -f and --values.
func addFileFlags(cmd *cobra.Command, files *[]string, values *string) {
	cmd.Flags().StringArrayVarP(files, "filename", "f", nil, "file, directory (its *.yaml, *.yml and *.json), or - for standard input; may be repeated")
	cmd.Flags().StringVar(values, "values", "", "YAML file with the values of {{ .Name }} placeholders in the files")
}

// readFiles reads the documents that -f and --values name, and tells on stderr
// which are skipped.
func readFiles(cmd *cobra.Command, files []string, values string) (documents, error) {
	if len(files) == 0 {
		return documents{}, usagef("which files? Give -f FILE, -f DIRECTORY or -f -")
	}
	sources, err := readSources(files, cmd.InOrStdin())
	if err != nil {
		return documents{}, err
	}
	if sources, err = fillIn(sources, values); err != nil {
		return documents{}, err
	}
	docs, err := readDocuments(sources)
	if err != nil {
		return documents{}, err
	}
	for _, s := range docs.skipped {
		fmt.Fprintf(cmd.ErrOrStderr(), "skipped %s: %s: %s\n", s.place, s.what, s.reason)
	}
	return docs, nil
}

// applier carries out one apply.
type applier struct {
	client *client
	out    io.Writer // what was done
	notes  io.Writer // what to know about it
	dryRun bool
	format format
}

// apply sends all documents, and prints what became of each as soon as it is
// known.
func (a *applier) apply(ctx context.Context, docs documents) error {
	ops, pairs, kept, err := a.plan(ctx, docs.objects)
	if err != nil {
		return err
	}
	batches := batch(ops)
	if len(batches) > 1 {
		fmt.Fprintf(a.notes, "%d objects go as %d transactions: each is applied as a whole or not at all, all of them together are not\n", len(ops), len(batches))
	}
	report := &outcomes{out: a.out, notes: a.notes, format: a.format}
	report.add(kept...)
	for _, b := range batches {
		if a.dryRun {
			err = a.preview(ctx, request{path: "/v2/transactions", body: b.body()}, b.locate)
		} else {
			err = transact(ctx, a.client, b, report)
		}
		if err != nil {
			return report.end(err)
		}
	}
	for _, d := range pairs {
		if err := a.post(ctx, d, report); err != nil {
			return report.end(err)
		}
	}
	return report.end(nil)
}

// plan orders the documents into operations of transactions, key-value pairs to
// post after them, and objects that are to be left as they are.
func (a *applier) plan(ctx context.Context, docs []document) (ops []operation, pairs []document, kept []outcome, err error) {
	described := map[intent.Path]bool{}
	for _, d := range docs {
		described[d.path] = described[d.path] || d.action == put
	}
	for _, d := range topDown(docs) {
		op := operation{Method: intent.Put, Path: string(d.path), Body: d.body, place: &d.place}
		switch d.action {
		case keyValues:
			pairs = append(pairs, d)
			continue
		case createIfAbsent:
			if described[d.path] {
				continue // another document says it in full, or says the same
			}
			described[d.path] = true
			_, err := a.client.do(ctx, request{method: http.MethodGet, path: string(d.path)})
			if err == nil {
				kept = append(kept, outcome{d.path, effects[intent.Unchanged]})
				continue
			}
			if !notFound(err) {
				return nil, nil, nil, err
			}
			op.Method = intent.Create
		}
		ops = append(ops, op)
	}
	return ops, pairs, kept, nil
}

// post sends a cluster's key-value pairs.
func (a *applier) post(ctx context.Context, d document, report *outcomes) error {
	r := request{method: http.MethodPost, path: string(d.path) + "/kv-pairs", body: d.body}
	if a.dryRun {
		return a.preview(ctx, r, d.place.locate)
	}
	var before, after struct {
		Metadata intent.Metadata `json:"metadata"`
		Warnings []string        `json:"warnings"`
	}
	if err := a.client.getJSON(ctx, string(d.path), nil, &before); err != nil {
		return err
	}
	body, err := a.client.do(ctx, r)
	if err != nil {
		return located(err, d.place.locate)
	}
	if err := json.Unmarshal(body, &after); err != nil {
		return fmt.Errorf("answer to POST %s: %w", r.path, err)
	}
	effect := intent.Replaced
	if before.Metadata.ResourceVersion == after.Metadata.ResourceVersion {
		effect = intent.Unchanged
	}
	report.add(outcome{intent.Path(r.path), effects[effect]})
	warn(report.notes, after.Warnings)
	return nil
}

// preview asks what each cluster would see of a write, and prints it.
func (a *applier) preview(ctx context.Context, r request, at locator) error {
	r.method, r.query = http.MethodPost, url.Values{"dryRun": {"true"}}
	body, err := a.client.do(ctx, r)
	if err != nil {
		return located(err, at)
	}
	var p preview
	if err := json.Unmarshal(body, &p); err != nil {
		return fmt.Errorf("answer to the dry run: %w", err)
	}
	warn(a.notes, p.Warnings)
	if a.format == asTable {
		return p.show(a.out)
	}
	return show(a.out, a.format, json.RawMessage(body), nil)
}

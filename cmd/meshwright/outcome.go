package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/meshwright/meshwright/intent"
)

// outcome is what an apply or delete did to one object.
type outcome struct {
	Path   intent.Path `json:"path"`
	Effect effect      `json:"effect"`
}

// effect is what was done with an object.
type effect string

// The effects, each as the server calls it.
var effects = map[intent.Effect]effect{
	intent.Created:   "created",
	intent.Replaced:  "updated",
	intent.Unchanged: "unchanged",
	intent.Deleted:   "deleted",
}

// outcomes prints what was done: as text at once, so that a later failure
// leaves it said, else as one list in the end.
type outcomes struct {
	out    io.Writer
	notes  io.Writer // what the server warns of
	format format
	list   []outcome
}

func (o *outcomes) add(done ...outcome) {
	o.list = append(o.list, done...)
	if o.format == asTable {
		for _, d := range done {
			fmt.Fprintf(o.out, "%-9s %s\n", d.Effect, d.Path)
		}
	}
}

// warn prints what the server warns of.
func warn(notes io.Writer, warnings []string) {
	for _, w := range warnings {
		fmt.Fprintf(notes, "warning: %s\n", w)
	}
}

// end prints what is not printed yet, also after a failure, and returns err or
// why printing failed.
func (o *outcomes) end(err error) error {
	if o.format == asTable {
		return err
	}
	if o.list == nil {
		o.list = []outcome{}
	}
	return errors.Join(err, show(o.out, o.format, o.list, nil))
}

// transact sends a transaction and adds what it did.
func transact(ctx context.Context, c *client, t *transaction, report *outcomes) error {
	body, err := c.do(ctx, request{method: http.MethodPost, path: "/v2/transactions", body: t.body()})
	if err != nil {
		return located(err, t.locate)
	}
	var answer struct {
		Results []struct {
			Path   intent.Path   `json:"path"`
			Effect intent.Effect `json:"effect"`
		} `json:"results"`
		Warnings []string `json:"warnings"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return fmt.Errorf("answer to the transaction: %w", err)
	}
	for _, r := range answer.Results {
		report.add(outcome{r.Path, effects[r.Effect]})
	}
	warn(report.notes, answer.Warnings)
	return nil
}

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
)

const bundleLong = `Print every object that a cluster gets, as YAML for ` + "`kubectl apply -f -`" + `, as a JSON List, or as a table of their names.`

// newBundle is `meshwright bundle`.
func newBundle(conn *connection) *cobra.Command {
	f := asYAML
	var kinds string
	cmd := &cobra.Command{
		Use:               "bundle PROVIDER/CLUSTER",
		Short:             "Print every object that a cluster gets",
		Long:              bundleLong,
		Example:           "  meshwright bundle edge/shop-1 | kubectl apply -f -",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completePath(conn),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := clusterPath(args[0])
			if err != nil {
				return &usageError{err}
			}
			c, err := conn.open()
			if err != nil {
				return err
			}
			r := request{method: http.MethodGet, path: string(path) + "/bundle", query: url.Values{}}
			if kinds != "" {
				r.query.Set("kinds", kinds)
			}
			if f == asYAML {
				r.accept = "application/yaml"
			}
			body, err := c.do(cmd.Context(), r)
			if err != nil {
				return err
			}
			return showBundle(cmd.OutOrStdout(), f, body)
		},
	}
	addOutputFlag(cmd, &f, "how to print")
	cmd.Flags().StringVar(&kinds, "kinds", "", "only objects of these kinds: Kind,...")
	return cmd
}

// showBundle prints YAML as the server gave it, or a v1 List of objects.
func showBundle(w io.Writer, f format, body []byte) error {
	if f == asYAML {
		_, err := w.Write(body)
		return err
	}
	var list struct {
		Items []manifest `json:"items"`
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return fmt.Errorf("answer is no bundle: %w", err)
	}
	return show(w, f, json.RawMessage(body), func(w io.Writer) {
		row(w, "KIND", "NAMESPACE", "NAME")
		for _, o := range list.Items {
			row(w, o.Kind, o.Metadata.Namespace, o.Metadata.Name)
		}
	})
}

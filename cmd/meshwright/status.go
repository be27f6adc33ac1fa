package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshwright/meshwright/intent"
)

const statusLong = `Print how far the configuration has come: without an argument of the fleet, with PROVIDER/CLUSTER of one cluster, with
the path of an intent of that intent on each cluster that it concerns.`

// newStatus is `meshwright status`.
func newStatus(conn *connection) *cobra.Command {
	f := asTable
	cmd := &cobra.Command{
		Use:               "status [PROVIDER/CLUSTER|PATH]",
		Short:             "Print how far the configuration has come",
		Long:              statusLong,
		Example:           "  meshwright status\n  meshwright status edge/shop-1",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: completePath(conn),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, table, err := statusOf(args)
			if err != nil {
				return &usageError{err}
			}
			c, err := conn.open()
			if err != nil {
				return err
			}
			body, err := c.do(cmd.Context(), request{method: http.MethodGet, path: path})
			if err != nil {
				return err
			}
			if f == asTable {
				return showStatus(cmd.OutOrStdout(), table, body)
			}
			return show(cmd.OutOrStdout(), f, json.RawMessage(body), nil)
		},
	}
	addOutputFlag(cmd, &f, "how to print")
	return cmd
}

// statusTable is the answer of one kind of status, that can print itself.
type statusTable interface{ table(w io.Writer) }

// statusOf chooses the path to ask and what its answer is.
func statusOf(args []string) (path string, table statusTable, err error) {
	if len(args) == 0 {
		return "/v2/status", &fleetStatus{}, nil
	}
	if cluster, err := clusterPath(args[0]); err == nil {
		return string(cluster) + "/status", &clusterStatus{}, nil
	}
	object, _, err := intent.ParsePath(restPath(args[0]))
	if err != nil {
		return "", nil, fmt.Errorf("%q is neither PROVIDER/CLUSTER nor the path of an intent", args[0])
	}
	return string(object) + "/status", &intentStatus{}, nil
}

func showStatus(w io.Writer, table statusTable, body []byte) error {
	if err := json.Unmarshal(body, table); err != nil {
		return fmt.Errorf("answer is no status: %w", err)
	}
	return showTable(w, table.table)
}

// lag is how far a cluster is behind.
type lag struct {
	Types          int             `json:"types"`
	OldestRevision intent.Revision `json:"oldestRevision"`
}

// fleetStatus is the status of all clusters.
type fleetStatus struct {
	Revision      intent.Revision `json:"revision"`
	BuiltRevision intent.Revision `json:"builtRevision"`
	Clusters      struct {
		Total        int `json:"total"`
		Connected    int `json:"connected"`
		Disconnected int `json:"disconnected"`
		NeverSeen    int `json:"neverSeen"`
		Behind       int `json:"behind"`
		WithProblems int `json:"withProblems"`
	} `json:"clusters"`
	Behind []struct {
		Cluster      string `json:"cluster"`
		Connectivity string `json:"connectivity"`
		Lag          lag    `json:"lag"`
	} `json:"behind"`
}

func (s *fleetStatus) table(w io.Writer) {
	c := s.Clusters
	row(w, "CLUSTERS", "CONNECTED", "DISCONNECTED", "NEVER SEEN", "BEHIND", "WITH PROBLEMS", "REVISION", "BUILT")
	row(w, c.Total, c.Connected, c.Disconnected, c.NeverSeen, c.Behind, c.WithProblems, s.Revision, s.BuiltRevision)
	if len(s.Behind) == 0 {
		return
	}
	fmt.Fprintln(w)
	row(w, "BEHIND", "CONNECTIVITY", "TYPES", "SINCE REVISION")
	for _, b := range s.Behind {
		row(w, b.Cluster, b.Connectivity, b.Lag.Types, b.Lag.OldestRevision)
	}
	if more := c.Behind - len(s.Behind); more > 0 {
		fmt.Fprintf(w, "and %d more\n", more)
	}
}

// delivered is a version of a type and when it was sent or confirmed.
type delivered struct {
	Version string    `json:"version"`
	At      time.Time `json:"at"`
}

// clusterStatus is what a cluster's edges were sent and confirmed.
type clusterStatus struct {
	Cluster      string          `json:"cluster"`
	Revision     intent.Revision `json:"revision"`
	Delivery     string          `json:"delivery"`
	Connectivity string          `json:"connectivity"`
	Since        time.Time       `json:"since"`
	Connections  []struct {
		Address string    `json:"address"`
		Node    string    `json:"node"`
		Replica string    `json:"replica"`
		Since   time.Time `json:"since"`
	} `json:"connections"`
	Types []struct {
		Type         string     `json:"type"`
		Wanted       string     `json:"wanted"`
		Sent         *delivered `json:"sent"`
		Acknowledged *delivered `json:"acknowledged"`
		Rejected     *struct {
			Message string `json:"message"`
		} `json:"rejected"`
	} `json:"types"`
	Problems problems `json:"problems"`
	Warnings problems `json:"warnings"`
}

func (s *clusterStatus) table(w io.Writer) {
	row(w, "CLUSTER", "CONNECTIVITY", "SINCE", "DELIVERY", "REVISION")
	row(w, s.Cluster, s.Connectivity, timeText(s.Since), s.Delivery, s.Revision)
	if len(s.Connections) > 0 {
		fmt.Fprintln(w)
		row(w, "CONNECTION", "ISTIOD", "REPLICA", "SINCE")
		for _, c := range s.Connections {
			row(w, c.Address, c.Node, c.Replica, timeText(c.Since))
		}
	}
	if len(s.Types) > 0 {
		fmt.Fprintln(w)
		row(w, "TYPE", "STATE", "SENT", "ACKNOWLEDGED")
	}
	for _, t := range s.Types {
		state := "Pending"
		switch {
		case t.Acknowledged != nil && t.Acknowledged.Version == t.Wanted:
			state = "Acknowledged"
		case t.Rejected != nil:
			state = "Rejected: " + t.Rejected.Message
		case t.Sent != nil && t.Sent.Version == t.Wanted:
			state = "Sent"
		}
		row(w, t.Type, state, t.Sent.when(), t.Acknowledged.when())
	}
	s.Problems.table(w, "PROBLEM")
	s.Warnings.table(w, "WARNING")
}

// intentStatus is what became of an intent, cluster by cluster.
type intentStatus struct {
	Message  string `json:"message"`
	Clusters []struct {
		Cluster  string            `json:"cluster"`
		State    string            `json:"state"`
		Message  string            `json:"message"`
		Objects  []changedManifest `json:"objects"`
		Problems problems          `json:"problems"`
	} `json:"clusters"`
	Warnings problems `json:"warnings"`
}

func (s *intentStatus) table(w io.Writer) {
	if s.Message != "" {
		fmt.Fprintln(w, s.Message)
	}
	s.clusterTables(w)
	s.Warnings.table(w, "WARNING")
}

func (s *intentStatus) clusterTables(w io.Writer) {
	if len(s.Clusters) == 0 {
		return
	}
	row(w, "CLUSTER", "STATE", "OBJECTS", "MESSAGE")
	var all problems
	for _, c := range s.Clusters {
		row(w, c.Cluster, c.State, len(c.Objects), c.Message)
		all = append(all, c.Problems...)
	}
	fmt.Fprintln(w)
	row(w, "CLUSTER", "KIND", "NAMESPACE", "NAME")
	for _, c := range s.Clusters {
		for _, o := range c.Objects {
			row(w, c.Cluster, o.Kind, o.Namespace, o.Name)
		}
	}
	all.table(w, "PROBLEM")
}

// problems say what can't be generated for a cluster, and why; or what is
// unwise.
type problems []struct {
	Intent  intent.Path `json:"intent"`
	Message string      `json:"message"`
}

func (p problems) table(w io.Writer, heading string) {
	if len(p) == 0 {
		return
	}
	fmt.Fprintln(w)
	row(w, heading, "INTENT")
	for _, problem := range p {
		row(w, problem.Message, problem.Intent)
	}
}

func (d *delivered) when() string {
	if d == nil {
		return ""
	}
	return timeText(d.At)
}

func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

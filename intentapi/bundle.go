package intentapi

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/munnerz/goautoneg"
	"sigs.k8s.io/yaml"

	"github.com/meshwright/meshwright/intent"
	"github.com/meshwright/meshwright/snapshot"
)

// bundleFormats are the media types that a bundle is served in, the default
// first.
var bundleFormats = []string{"application/json", "application/yaml"}

// bundleQuery says which part of a bundle is asked for, and how.
type bundleQuery struct {
	format  string
	kinds   []string // empty: all
	channel intent.Delivery
}

func (r *request) bundleQuery() (bundleQuery, error) {
	q := bundleQuery{format: bundleFormats[0], channel: intent.Delivery(r.gin.Query("channel"))}
	if _, ok := r.gin.GetQuery("revision"); ok {
		return q, refuse(http.StatusNotImplemented, "bundles of earlier revisions are not supported by this release")
	}
	if accept := strings.Join(r.gin.Request.Header.Values("Accept"), ","); accept != "" {
		if q.format = goautoneg.Negotiate(accept, bundleFormats); q.format == "" {
			return q, refuse(http.StatusNotAcceptable, "a bundle is served as "+strings.Join(bundleFormats, " and ")+" only")
		}
	}
	if text := r.gin.Query("kinds"); text != "" {
		q.kinds = strings.Split(text, ",")
	}
	for _, k := range q.kinds {
		if !slices.ContainsFunc(snapshot.Types[:], func(t *snapshot.Type) bool { return t.Kind == k }) {
			return q, badQuery("kinds", fmt.Sprintf("%.60q is no kind of a bundle", k))
		}
	}
	switch q.channel {
	case "", intent.DeliverXDS, intent.DeliverBundle:
		return q, nil
	}
	return q, badQuery("channel", "must be xds or bundle")
}

// wants reports whether an object is in the part that is asked for. The kinds
// that istiod does not take go by bundle whatever the cluster's delivery says:
// there is no other way.
func (q *bundleQuery) wants(view *snapshot.View, o *snapshot.Object) bool {
	if len(q.kinds) > 0 && !slices.Contains(q.kinds, o.Type.Kind) {
		return false
	}
	switch q.channel {
	case intent.DeliverXDS:
		return o.Type.OverXDS() && view.Delivery != intent.DeliverBundle
	case intent.DeliverBundle:
		return !o.Type.OverXDS() || view.Delivery != intent.DeliverXDS
	}
	return true
}

// getBundle answers with everything that a cluster gets.
func getBundle(r *request) (*answer, error) {
	p, err := r.path()
	if err != nil {
		return nil, err
	}
	if r.set.Get(p) == nil {
		return nil, noSuchObject(p)
	}
	q, err := r.bundleQuery()
	if err != nil {
		return nil, err
	}
	hold, err := r.flag("watch")
	if err != nil {
		return nil, err
	}
	if err := r.waitForViews(r.set.Revision()); err != nil {
		return nil, err
	}
	known := tags(strings.Join(r.gin.Request.Header.Values("If-None-Match"), ","))
	if etag := r.gin.Query("etag"); etag != "" {
		known = append(known, `"`+strings.Trim(etag, `"`)+`"`)
	}
	if hold && len(known) > 0 {
		return r.holdBundle(p, q, known)
	}
	ans, err := r.bundle(p, q)
	if err == nil && inTags(strings.Join(known, ","), ans.etag) {
		ans = &answer{status: http.StatusNotModified, etag: ans.etag, revision: ans.revision}
	}
	return ans, err
}

// holdBundle answers once the bundle is none of the known ones: 304 when it
// still is after a while.
func (r *request) holdBundle(p intent.Path, q bundleQuery, known []string) (*answer, error) {
	release, err := r.hold()
	if err != nil {
		return nil, err
	}
	defer release()
	control := http.NewResponseController(r.gin.Writer)
	_ = control.SetWriteDeadline(time.Now().Add(r.HoldLimit + r.WriteLimit)) // not every writer has one
	limit := time.NewTimer(r.HoldLimit)
	defer limit.Stop()
	var last *snapshot.View
	etag := ""
	for {
		advanced := r.Views.Advanced()
		if view := r.Views.View(p); view == nil || view != last {
			ans, err := r.bundle(p, q)
			if err != nil || !inTags(strings.Join(known, ","), ans.etag) {
				return ans, err
			}
			last, etag = view, ans.etag
		}
		select {
		case <-advanced:
		case <-limit.C:
			return &answer{status: http.StatusNotModified, etag: etag, revision: r.Views.Revision()}, nil
		case <-r.ctx.Done():
			return nil, r.ctx.Err()
		}
	}
}

// postBundle registers or updates a cluster by its configuration and answers
// with the bundle that follows from it.
func postBundle(r *request) (*answer, error) {
	p, err := r.path()
	if err != nil {
		return nil, err
	}
	q, err := r.bundleQuery()
	if err != nil {
		return nil, err
	}
	body, err := r.readBody()
	if err != nil {
		return nil, err
	}
	if members, ok := body.(map[string]any); ok && members["spec"] == nil {
		// Its defaults would take away the gateways that the cluster has.
		return nil, malformed(intent.Violation{Field: "/spec", Message: "is missing"})
	}
	r.completeMetadata(p, body)
	o, err := r.document.decodeObject(intent.KindCluster, p, false, body)
	if err != nil {
		return nil, err
	}
	done, err := r.commitOne(intent.Op{Method: intent.Put, Path: p, Object: o})
	if err != nil || done.preview != nil {
		return previewed(done.preview), err
	}
	if err := r.waitForViews(done.Revision); err != nil {
		return nil, err
	}
	ans, err := r.bundle(p, q)
	if err == nil && done.Effects[0] == intent.Created {
		ans.status, ans.location = http.StatusCreated, string(p)
	}
	return ans, err
}

// completeMetadata gives a cluster's bare configuration the metadata that the
// cluster has, or its name alone.
func (r *request) completeMetadata(p intent.Path, body any) {
	members, ok := body.(map[string]any)
	if !ok {
		return
	}
	if metadata, ok := members["metadata"].(map[string]any); ok {
		if _, ok := metadata["name"]; !ok {
			metadata["name"] = p.Name()
		}
		return
	}
	if _, ok := members["metadata"]; ok {
		return // of a wrong type: the schema says so
	}
	metadata := map[string]any{"name": p.Name()}
	if old := r.set.Get(p); old != nil {
		m := old.Metadata
		for name, value := range map[string]string{"description": m.Description, "userData1": m.UserData1, "userData2": m.UserData2} {
			if value != "" {
				metadata[name] = value
			}
		}
		labels := map[string]any{}
		for k, v := range m.Labels {
			labels[k] = v
		}
		metadata["labels"] = labels
	}
	members["metadata"] = metadata
}

// bundle writes a cluster's objects in one of the formats.
func (r *request) bundle(p intent.Path, q bundleQuery) (*answer, error) {
	revision := r.Views.Revision()
	view := r.Views.View(p)
	if view == nil {
		return nil, noSuchObject(p)
	}
	items := []any{}
	for o := range view.Objects() {
		if q.wants(view, o) {
			manifest, err := o.Manifest()
			if err != nil {
				return nil, fmt.Errorf("write the bundle of cluster %s: %w", p.ClusterName(), err)
			}
			items = append(items, manifest)
		}
	}
	raw, err := writeBundle(q.format, items)
	if err != nil {
		return nil, fmt.Errorf("write the bundle of cluster %s: %w", p.ClusterName(), err)
	}
	sum := sha256.Sum256(raw)
	r.gin.Header("Vary", "Accept")
	return &answer{
		status: http.StatusOK, raw: raw, contentType: q.format,
		etag: hex.EncodeToString(sum[:16]), revision: revision,
	}, nil
}

func writeBundle(format string, items []any) ([]byte, error) {
	if format == "application/json" {
		return encodeJSON(map[string]any{"apiVersion": "v1", "kind": "List", "items": items})
	}
	var b bytes.Buffer
	for _, item := range items {
		text, err := yaml.Marshal(item)
		if err != nil {
			return nil, err
		}
		b.WriteString("---\n")
		b.Write(text)
	}
	if len(items) == 0 {
		b.WriteString("# no objects\n")
	}
	return b.Bytes(), nil
}

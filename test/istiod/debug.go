package istiod

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"
)

// Object is one configuration object as istiod holds it.
type Object struct {
	Kind, APIVersion    string
	Namespace, Name     string
	ResourceVersion     string // the version that the source gave it
	Labels, Annotations map[string]string
	Spec                map[string]any
}

// ID is "Kind namespace/name".
func (o Object) ID() string { return o.Kind + " " + o.Namespace + "/" + o.Name }

// Configz returns every object that istiod holds, in its order: by kind.
func (i *Istiod) Configz(t testing.TB) []Object {
	t.Helper()
	var found []struct {
		Kind       string
		APIVersion string
		Metadata   struct {
			Namespace, Name     string
			ResourceVersion     string
			Labels, Annotations map[string]string
		}
		Spec map[string]any
	}
	i.Debug(t, "configz", &found)
	objects := make([]Object, 0, len(found))
	for _, f := range found {
		m := f.Metadata
		objects = append(objects, Object{
			f.Kind, f.APIVersion, m.Namespace, m.Name,
			m.ResourceVersion, m.Labels, m.Annotations, f.Spec,
		})
	}
	return objects
}

// Object returns the object of that kind, namespace and name, or nil.
func (i *Istiod) Object(t testing.TB, kind, namespace, name string) *Object {
	t.Helper()
	for _, o := range i.Configz(t) {
		if o.Kind == kind && o.Namespace == namespace && o.Name == name {
			return &o
		}
	}
	return nil
}

// Registryz returns the services that istiod knows.
func (i *Istiod) Registryz(t testing.TB) []map[string]any {
	t.Helper()
	var services []map[string]any
	i.Debug(t, "registryz", &services)
	return services
}

// Debug reads /debug/page ("syncz", "push_status", "endpointShardz", …) into a
// pointer.
func (i *Istiod) Debug(t testing.TB, page string, into any) {
	t.Helper()
	if err := i.debug(page, into); err != nil {
		t.Fatalf("reading istiod's /debug/%s: %v", page, err)
	}
}

func (i *Istiod) debug(page string, into any) error {
	client := http.Client{Timeout: 10 * time.Second}
	resp, err := client.Get(i.MonitoringURL() + "/debug/" + page)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("answered %s", resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

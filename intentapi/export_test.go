package intentapi

import (
	"reflect"
	"strings"
)

// ServedRoutes lists gin's routes as "METHOD template", with false for those
// that answer 501. HEAD is left out: it stands beside each GET.
func ServedRoutes() map[string]bool {
	later := reflect.ValueOf(notSupported).Pointer()
	implemented := map[string]bool{}
	for _, r := range routes() {
		implemented[r.method+" "+ginPath(r.template)] = reflect.ValueOf(r.do).Pointer() != later
	}
	a := &API{}
	out := map[string]bool{}
	for _, r := range a.newEngine().Routes() {
		if r.Method == "HEAD" {
			continue
		}
		segments := strings.Split(r.Path, "/")
		for i, s := range segments {
			if strings.HasPrefix(s, ":") {
				segments[i] = "{" + s[1:] + "}"
			}
		}
		out[r.Method+" "+strings.Join(segments, "/")] = implemented[r.Method+" "+r.Path]
	}
	return out
}

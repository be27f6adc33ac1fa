package intentapi

import (
	"net/http"

	"github.com/meshwright/meshwright/intent"
)

// healthz says that the process answers.
func healthz(*request) (*answer, error) {
	return &answer{status: http.StatusOK, body: map[string]string{"status": "alive"}}, nil
}

// readyz says whether this replica may serve, and if not, what is missing.
func readyz(r *request) (*answer, error) {
	var missing []intent.Violation
	if err := r.Store.Ready(); err != nil {
		missing = append(missing, intent.Violation{Field: "/store", Message: err.Error()})
	}
	if !r.Views.Ready() {
		missing = append(missing, intent.Violation{Field: "/views", Message: "the clusters' configuration has not been built yet"})
	}
	if len(missing) > 0 {
		p := refuse(http.StatusServiceUnavailable, "this replica is not ready", missing...)
		p.retryAfter = "1"
		return nil, p
	}
	return &answer{status: http.StatusOK, body: map[string]string{"status": "ready"}}, nil
}

func (r *request) notReady(err error) *problem {
	p := refuse(http.StatusServiceUnavailable, "this replica is not ready", intent.Violation{Field: "/store", Message: err.Error()})
	p.retryAfter = "1"
	return p
}

// metricsPage hands over to the handler that the process gave us.
func metricsPage(r *request) (*answer, error) {
	return &answer{stream: func(w http.ResponseWriter) error {
		r.Metrics.ServeHTTP(w, r.gin.Request)
		return nil
	}}, nil
}

func openapiYAML(r *request) (*answer, error) {
	return &answer{status: http.StatusOK, raw: openapiText, contentType: "application/yaml"}, nil
}

func openapiJSON(r *request) (*answer, error) {
	return &answer{status: http.StatusOK, raw: r.document.json, contentType: "application/json"}, nil
}

package intentapi

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/meshwright/meshwright/intent"
)

// get answers with one object.
func get(r *request) (*answer, error) {
	p, err := r.path()
	if err != nil {
		return nil, err
	}
	o := r.set.Get(p)
	if o == nil {
		return nil, noSuchObject(p)
	}
	version := o.Metadata.ResourceVersion
	if inTags(r.gin.GetHeader("If-None-Match"), version) {
		return &answer{status: http.StatusNotModified, etag: version}, nil
	}
	return &answer{status: http.StatusOK, body: shown(o), etag: version}, nil
}

func noSuchObject(p intent.Path) error {
	return intent.Errorf(intent.NotFound, "the %s %s does not exist", p.Kind().Noun(), p)
}

// list answers with the objects of a collection in the order of their names.
func list(r *request) (*answer, error) {
	collection, err := r.collection()
	if err != nil {
		return nil, err
	}
	if parent := parentOf(collection); parent != "" && r.set.Get(parent) == nil {
		return nil, noSuchObject(parent)
	}
	page, err := r.page(collection)
	if err != nil {
		return nil, err
	}
	objects, more := []*intent.Object{}, false
	for o := range r.set.ListAfter(r.route.kind, collection, page.after) {
		if !page.selector.Matches(labels.Set(o.Metadata.Labels)) {
			continue
		}
		if more = page.limit > 0 && len(objects) == page.limit; more {
			break
		}
		objects = append(objects, shown(o))
	}
	ans := &answer{status: http.StatusOK, body: objects}
	if more {
		ans.link = r.nextPage(objects[len(objects)-1].Path.Name())
	}
	return ans, nil
}

// parentOf is the object that a collection stands under, or "".
func parentOf(collection intent.Path) intent.Path {
	return (collection + intent.Path("/"+placeholder)).Parent()
}

// page says which part of a collection is asked for.
type page struct {
	selector labels.Selector
	limit    int // 0: no bound
	after    intent.Path
}

func (r *request) page(collection intent.Path) (page, error) {
	p := page{selector: labels.Everything()}
	var err error
	if text := r.gin.Query("labelSelector"); text != "" {
		if p.selector, err = labels.Parse(text); err != nil {
			return p, badQuery("labelSelector", "can't be read: "+err.Error())
		}
	}
	if text, ok := r.gin.GetQuery("limit"); ok {
		if p.limit, err = strconv.Atoi(text); err != nil || p.limit < 1 {
			return p, badQuery("limit", "must be a whole number from 1")
		}
		p.limit = min(p.limit, r.MaxPage)
	}
	if token := r.gin.Query("continue"); token != "" {
		name, ok := readToken(token)
		if !ok {
			return p, badQuery("continue", "is no token of this server: follow the Link of a page")
		}
		p.after = collection + intent.Path("/"+name)
	}
	return p, nil
}

// nextPage is the Link to the page after a name.
func (r *request) nextPage(last string) string {
	query := r.gin.Request.URL.Query()
	query.Set("continue", makeToken(last))
	u := url.URL{Path: r.gin.Request.URL.Path, RawQuery: query.Encode()}
	return "<" + u.String() + `>; rel="next"`
}

// A token holds the last name of a page behind a version, in base64.
const tokenVersion = "1:"

func makeToken(name string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(tokenVersion + name))
}

func readToken(token string) (name string, ok bool) {
	text, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return "", false
	}
	name, ok = strings.CutPrefix(string(text), tokenVersion)
	return name, ok && intent.CheckName(name) == "" && makeToken(name) == token // base64 skips line breaks
}

// tags splits the entity tags of an If-Match or If-None-Match header.
func tags(header string) []string {
	var out []string
	for tag := range strings.SplitSeq(header, ",") {
		if tag = strings.TrimSpace(tag); tag != "" {
			out = append(out, tag)
		}
	}
	return out
}

// inTags is the weak comparison of RFC 9110, section 13.1.2.
func inTags(header, etag string) bool {
	for _, tag := range tags(header) {
		if tag == "*" || strings.TrimPrefix(tag, "W/") == strconv.Quote(etag) {
			return true
		}
	}
	return false
}

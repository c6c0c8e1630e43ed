package gcsfault

import (
	"net/http"
	"net/url"
	"strings"
)

// Kind is what a request does.
type Kind string

// The kinds of requests.
const (
	List     Kind = "list"     // a page of a list of objects
	Stat     Kind = "stat"     // an object's metadata
	Download Kind = "download" // an object's content
	Upload   Kind = "upload"   // an object in one request
	Start    Kind = "start"    // the start of a resumable session
	Send     Kind = "send"     // content for a session
	Query    Kind = "query"    // how much of the content a session has
	Delete   Kind = "delete"   // the removal of an object
	Bucket   Kind = "bucket"   // a bucket's metadata and permissions
	Other    Kind = "other"    // everything else
)

// Kinds lists the kinds of requests about objects.
var Kinds = []Kind{List, Stat, Download, Upload, Start, Send, Query, Delete}

// Request describes a request.
type Request struct {
	Kind Kind
	// Object is the name of the object in its bucket. For a List, it is the prefix.
	Object string

	identity string
}

// describe finds out what a request does. The identity of a request is the same for all
// of its attempts: its kind, its object, and its query without what differs from run to
// run.
func describe(r *http.Request) Request {
	q := r.URL.Query()
	d := Request{Kind: Other}
	path, upload := strings.CutPrefix(r.URL.EscapedPath(), "/upload")
	path, download := strings.CutPrefix(path, "/download")
	parts := strings.SplitN(strings.TrimPrefix(path, "/storage/v1/b/"), "/", 3)
	if len(parts) == 3 {
		if name, err := url.PathUnescape(parts[2]); err == nil {
			d.Object = name
		}
	}
	switch {
	case !strings.HasPrefix(path, "/storage/v1/b/"):
	case upload:
		d.Kind, d.Object = uploadKind(r, q), q.Get("name")
	case len(parts) == 1, parts[1] != "o":
		d.Kind = Bucket
	case d.Object == "":
		if r.Method == http.MethodGet {
			d.Kind, d.Object = List, q.Get("prefix")
		}
	case r.Method == http.MethodDelete:
		d.Kind = Delete
	case r.Method == http.MethodGet && (download || q.Get("alt") == "media"):
		d.Kind = Download
	case r.Method == http.MethodGet:
		d.Kind = Stat
	}
	q.Del("upload_id")
	for _, name := range []string{"generation", "ifGenerationMatch"} {
		if g := q.Get(name); g != "" && g != "0" {
			q.Set(name, "*")
		}
	}
	d.identity = strings.Join([]string{string(d.Kind), d.Object, q.Encode()}, " ")
	return d
}

func uploadKind(r *http.Request, q url.Values) Kind {
	switch {
	case r.Method == http.MethodPost && q.Get("uploadType") == "resumable":
		return Start
	case r.Method == http.MethodPost:
		return Upload
	case r.Method == http.MethodPut && strings.HasPrefix(r.Header.Get("Content-Range"), "bytes */"):
		return Query
	case r.Method == http.MethodPut:
		return Send
	}
	return Other
}

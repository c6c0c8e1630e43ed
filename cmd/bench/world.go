package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"time"

	"prospector/extract/knocksim"
)

// world is the data to export: the simulated events of some prospects in January.
type world struct {
	Events    int `json:"events"`
	Prospects int `json:"prospects"`
}

// newWorld returns a world with 40 events for each prospect on average.
func newWorld(events int) world { return world{Events: events, Prospects: max(1, events/40)} }

const (
	seed     = 1
	pageSize = 100
)

// asOf is the end of the simulated January.
var asOf = time.Date(2022, time.February, 1, 0, 0, 0, 0, time.UTC)

func (w world) simulator() (*knocksim.Simulator, error) {
	return knocksim.New(knocksim.Options{Seed: seed, Prospects: w.Prospects, Events: w.Events, AsOf: asOf})
}

// writePages writes all pages of the world for the peers, in the order of its
// prospects. Each line is the body of one response of the API, with the prospect added:
// {"prospect_id":"47569637","edges":[…],"pageInfo":{…}}.
func (w world) writePages(path string) (err error) {
	sim, err := w.simulator()
	if err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	out := bufio.NewWriterSize(f, 1<<20)
	for id := range sim.ProspectIDs() {
		if err := writeProspect(out, sim, id); err != nil {
			return err
		}
	}
	return out.Flush()
}

func writeProspect(out *bufio.Writer, api http.Handler, id string) error {
	var page answer
	for cursor := ""; ; {
		query := url.Values{"first": {fmt.Sprint(pageSize)}}
		if cursor != "" {
			query.Set("after", cursor)
		}
		page.reset()
		api.ServeHTTP(&page, &http.Request{
			Method: http.MethodGet, Header: http.Header{"X-Api-Key": {knocksim.DefaultAPIKey}},
			URL: &url.URL{Path: "/prospect/" + id + "/events", RawQuery: query.Encode()},
		})
		body := page.body.Bytes()
		info, err := pageInfo(body)
		if page.status != http.StatusOK || err != nil {
			return fmt.Errorf("the simulator responded with status %d for prospect %s: %w", page.status, id, err)
		}
		fmt.Fprintf(out, `{"prospect_id":%q,`, id)
		out.Write(body[1:])
		out.WriteByte('\n')
		if !info.HasNextPage {
			return nil // Flush returns write errors
		}
		cursor = info.EndCursor
	}
}

type position struct {
	EndCursor   string
	HasNextPage bool
}

// pageInfo parses the pageInfo at the end of a page of the simulator.
func pageInfo(body []byte) (p position, err error) {
	const key = `"pageInfo":`
	at := bytes.LastIndex(body, []byte(key))
	if at < 0 {
		return p, errors.New("there is no pageInfo")
	}
	err = json.Unmarshal(bytes.TrimSuffix(body[at+len(key):], []byte("}")), &p)
	return p, err
}

// answer is an http.ResponseWriter that records the response.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answer) reset() {
	a.header, a.status = make(http.Header), http.StatusOK
	a.body.Reset()
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) WriteHeader(status int)      { a.status = status }
func (a *answer) Write(b []byte) (int, error) { return a.body.Write(b) }

package run

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"

	"prospector/internal/jsontext"
	"prospector/internal/terminal"
	"prospector/jobs/plan"
	"prospector/jobs/state"
	"prospector/schemas"
	"prospector/sink/store"
	"prospector/transform"
)

// quarantine is the events of a job that cannot become rows: a JSON object a
// line, in an object of its own beside the table. Each run writes it whole: the
// events of prospects that were read now, and the old ones of all others.
type quarantine struct {
	mu   sync.Mutex
	size int
	// lines are keyed by what they say of the event, so that an event that was
	// read twice, or from another page than last time, is there once.
	lines map[schemas.Digest]line
	// old are the published lines by prospect; those of a prospect that is
	// read to its end are dropped.
	old map[string][]quarantined
	// protection identifies the policies of the table, and protect applies them
	// to an event; both are zero where lines are kept as they are.
	protection string
	protect    func(event []byte) ([]byte, bool)
	// counts are the events of this run, and the earlier ones of the prospects that it
	// has read at least in part, by event type; "" stands for a type that is not known.
	counts map[string]plan.Quarantining
}

// count changes the counts of an event's type.
func (q *quarantine) count(event []byte, change func(*plan.Quarantining)) {
	eventType := typeOfText(event)
	if _, known := q.counts[eventType]; !known && len(q.counts) >= mostTypes {
		eventType = ""
	}
	c := q.counts[eventType]
	if c.Reasons == nil {
		c.Reasons = make(map[string]int64)
	}
	change(&c)
	q.counts[eventType] = c
}

// typeOfText returns the type of an event that need not be valid JSON, or "".
func typeOfText(event []byte) (eventType string) {
	members, ok := jsontext.Members(event)
	if !ok {
		return ""
	}
	for key, value := range members {
		if jsontext.Unquote(key) == "type" && len(value) > 0 && value[0] == '"' && jsontext.IsValid(value) {
			eventType = jsontext.Unquote(value)
		}
	}
	return eventType
}

// text returns the event as it was read, or nil when it is withheld.
func (e *quarantined) text() []byte {
	if e.Event == nil {
		return e.Raw
	}
	return e.Event
}

// mostTypes and mostReasons bound what is counted apart.
const (
	mostTypes   = 1000
	mostReasons = 20
)

type line struct {
	prospect string
	text     []byte
}

// quarantined is the form of a line.
type quarantined struct {
	Prospect string          `json:"prospect_id"`
	Reason   string          `json:"reason"`
	Cursor   string          `json:"cursor"` // of the page; "" for the first
	Index    int             `json:"index"`  // of the edge on the page
	Event    json.RawMessage `json:"event,omitempty"`
	Raw      []byte          `json:"event_base64,omitempty"` // if some readers of JSON would refuse it
	// Withheld is how many bytes the event has, where policies cannot be applied.
	Withheld int `json:"event_withheld_bytes,omitempty"`
	// Policies identifies those that were applied: schemas.Table.Protection.
	Policies string `json:"policies,omitempty"`
}

// quarantineLimit bounds what is held. So much means that the source has changed
// beyond recognition, and a person should look before anything is published.
const quarantineLimit = 256 << 20

// publishedQuarantine reads the quarantine from the first sink in which it is
// intact. Where there is none, it takes what can be read of damaged ones, and
// notes in the job's drift how many events that is.
func (s *Session) publishedQuarantine(ctx context.Context, p *plan.Job) (*quarantine, error) {
	for _, address := range p.Sinks {
		if published := p.Found.Prior[address].Quarantine; published != nil {
			return openQuarantine(ctx, s.stores[address], published)
		}
	}
	q := newQuarantine()
	key := plan.QuarantineKey(p.TableName)
	known := make(map[schemas.Digest]bool)
	for i, d := range p.Found.Drift {
		if d.Key != key || d.Kind != plan.Modified {
			continue
		}
		err := salvage(ctx, s.stores[d.Sink], key, func(e quarantined) {
			p.Found.Drift[i].Recovered++
			if of := e.digest(); !known[of] { // it may be in several sinks
				known[of] = true
				q.old[e.Prospect] = append(q.old[e.Prospect], e)
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return q, nil
}

func newQuarantine() *quarantine {
	return &quarantine{lines: make(map[schemas.Digest]line), old: make(map[string][]quarantined), counts: make(map[string]plan.Quarantining)}
}

// salvage gives the events of a damaged quarantine that can still be read, each
// once. The others, and an object that is gone, are no error. What it gives is not
// proven: a byte may have changed within a value.
func salvage(ctx context.Context, from store.Store, key string, found func(quarantined)) error {
	r, err := from.Open(ctx, key)
	if errors.Is(err, store.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the damaged quarantine: %w", err)
	}
	defer r.Close()
	known := make(map[schemas.Digest]bool)
	for in := bufio.NewReader(io.LimitReader(r, 2*quarantineLimit)); ; {
		text, err := in.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("reading the damaged quarantine %s: %w", from.URI(key), err)
		}
		if e, ok := parseLine(text); ok {
			if of := e.digest(); !known[of] {
				known[of] = true
				found(e)
			}
		}
		if err != nil {
			return context.Cause(ctx)
		}
	}
}

// parseLine reads a line strictly, since one that is damaged may still be JSON.
func parseLine(text []byte) (e quarantined, ok bool) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if d.Decode(&e) != nil || e.Prospect == "" || e.Reason == "" || e.Index < 0 || e.Withheld < 0 {
		return e, false
	}
	_, err := d.Token()
	return e, errors.Is(err, io.EOF)
}

// openQuarantine reads the published quarantine, if there is one.
func openQuarantine(ctx context.Context, from store.Store, published *state.Quarantine) (*quarantine, error) {
	q := newQuarantine()
	if published == nil {
		return q, nil
	}
	r, err := from.Open(ctx, published.Object.Key)
	if err != nil {
		return nil, fmt.Errorf("reading the quarantine: %w", err)
	}
	defer r.Close()
	// A line is no longer than the quarantine is by the state.
	for d := json.NewDecoder(bufio.NewReader(io.LimitReader(r, published.Object.Size))); ; {
		var e quarantined
		switch err := d.Decode(&e); {
		case errors.Is(err, io.EOF):
			return q, nil
		case err != nil:
			return nil, fmt.Errorf("reading the quarantine %s: it is damaged", from.URI(published.Object.Key))
		}
		q.old[e.Prospect] = append(q.old[e.Prospect], e)
	}
}

// protects has the lines, those of earlier runs included, obey a table's policies.
func (q *quarantine) protects(table schemas.Table) {
	if q.protection = table.Protection(); q.protection != "" {
		q.protect = transform.NewProtector(table)
	}
}

// obey brings an old line under the policies of the table. What other policies
// have made of its event is withheld, as it cannot be brought into the new form.
func (q *quarantine) obey(e quarantined) quarantined {
	if q.protection == "" || e.Policies == q.protection {
		return e
	}
	event, ok := e.Event, false
	size := len(e.Event) + len(e.Raw) + e.Withheld
	if e.Policies == "" && e.Event != nil {
		event, ok = q.protect(e.Event)
	}
	e.Event, e.Raw, e.Withheld, e.Policies = event, nil, 0, q.protection
	if !ok {
		e.Event, e.Withheld = nil, size
	}
	return e
}

// add takes an event in. It is transform.NewFlattener's reject.
func (q *quarantine) add(r transform.Rejected) error {
	e := quarantined{Prospect: r.Prospect, Reason: r.Reason, Cursor: r.Cursor, Index: r.Index, Withheld: r.Withheld, Policies: q.protection}
	if r.Raw == nil {
		e.Event = nil
	} else if jsontext.IsPortable(r.Raw) {
		e.Event = r.Raw
	} else {
		e.Raw = r.Raw
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	before := len(q.lines)
	if err := q.put(e); err != nil {
		return err
	}
	q.count(r.Raw, func(c *plan.Quarantining) {
		c.Quarantined, c.Distinct = c.Quarantined+1, c.Distinct+int64(len(q.lines)-before)
		if _, known := c.Reasons[r.Reason]; known || len(c.Reasons) < mostReasons {
			c.Reasons[r.Reason]++
		}
	})
	return nil
}

// reasons lists why events of this run cannot become rows, the most frequent first.
func (q *quarantine) reasons() string {
	counts := make(map[string]int64)
	for _, c := range q.counts {
		for reason, n := range c.Reasons {
			counts[reason] += n
		}
	}
	var lines []string
	for _, reason := range slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	}) {
		lines = append(lines, terminal.Line(fmt.Sprintf("  %d: %s", counts[reason], reason)))
	}
	if more := len(lines) - maxListed; more > 0 {
		lines = append(lines[:maxListed], fmt.Sprintf("  … and %d more reasons", more))
	}
	return strings.Join(lines, "\n")
}

func (q *quarantine) put(e quarantined) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(e); err != nil {
		return fmt.Errorf("quarantining an event: %w", err)
	}
	of := e.digest()
	if _, twice := q.lines[of]; twice {
		return nil
	}
	q.lines[of] = line{e.Prospect, text.Bytes()}
	if q.size += text.Len(); q.size > quarantineLimit {
		return fmt.Errorf("more than %d MiB of events cannot become rows, the last one because it is %s; the source must have changed: nothing was published", quarantineLimit>>20, e.Reason)
	}
	return nil
}

// digest tells events apart, wherever they stood.
func (e *quarantined) digest() schemas.Digest {
	var compact bytes.Buffer
	if e.Event != nil {
		_ = json.Compact(&compact, e.Event) // it is valid, or was never made
	}
	h := schemas.HashValuesOf
	place := ""
	if e.Withheld > 0 { // nothing else tells it from others
		place = fmt.Sprint(e.Withheld, e.Index, e.Cursor)
	}
	return h("prospect_id").String(e.Prospect).
		Add(h("reason").String(e.Reason)).
		Add(h("event").String(compact.String())).
		Add(h("raw").String(string(e.Raw))).
		Add(h("policies").String(e.Policies)).
		Add(h("withheld").String(place)).Seal()
}

// replace drops the old lines of a prospect that was read to its end.
func (q *quarantine) replace(prospect string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.old, prospect)
}

// countBefore counts the old lines of a prospect that was read at least in part.
func (q *quarantine) countBefore(prospect string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, e := range q.old[prospect] {
		q.count(e.text(), func(c *plan.Quarantining) { c.Before++ })
	}
}

// change writes the new quarantine to path and says what is to be done with it,
// or gives nil when every sink has it already. It is called once, when all
// prospects are read.
func (q *quarantine) change(job string, sinks []string, prior map[string]*plan.Refreshed, path string) (*plan.Quarantine, error) {
	for _, prospect := range slices.Sorted(maps.Keys(q.old)) {
		for _, e := range q.old[prospect] {
			if err := q.put(q.obey(e)); err != nil {
				return nil, err
			}
		}
	}
	var content schemas.Digest
	for of := range q.lines {
		content = content.Add(of)
	}
	change := &plan.Quarantine{After: int64(len(q.lines))}
	for _, address := range sinks {
		have := prior[address].Quarantine
		w := plan.Write{Sink: address, Action: plan.Update, Key: plan.QuarantineKey(job)}
		switch {
		case have == nil && len(q.lines) == 0 && prior[address].Damaged[w.Key] != "":
			w.Action, w.Generation = plan.Delete, prior[address].Damaged[w.Key]
		case have == nil && len(q.lines) == 0, have != nil && have.Content == content:
			continue
		case have == nil:
			w.Action, w.Generation = plan.Create, prior[address].Damaged[w.Key]
		case len(q.lines) == 0:
			w.Action, w.Generation = plan.Delete, have.Object.Generation
		default:
			w.Generation = have.Object.Generation
		}
		if have != nil {
			change.Before = max(change.Before, have.Events)
		}
		change.Writes = append(change.Writes, w)
	}
	if len(change.Writes) == 0 {
		return nil, nil
	}
	if len(q.lines) > 0 {
		staged, err := q.write(path)
		if err != nil {
			return nil, fmt.Errorf("staging the quarantine: %w", err)
		}
		staged.Rows, staged.Content = change.After, content
		change.Staged = staged
	}
	return change, nil
}

// write makes the file, its lines in an order that does not depend on the run.
func (q *quarantine) write(path string) (*plan.Staged, error) {
	lines := slices.Collect(maps.Values(q.lines))
	slices.SortFunc(lines, func(a, b line) int {
		return cmp.Or(cmp.Compare(a.prospect, b.prospect), bytes.Compare(a.text, b.text))
	})
	var all bytes.Buffer
	for _, l := range lines {
		all.Write(l.text)
	}
	if err := os.WriteFile(path, all.Bytes(), 0o600); err != nil {
		return nil, err
	}
	return &plan.Staged{Path: path, Size: int64(all.Len()), CRC32C: store.Checksum(all.Bytes())}, nil
}

package quarantine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"prospector/internal/jsontext"
	"prospector/schemas"
)

// Event is an event that cannot become a row.
type Event struct {
	Prospect string
	Cursor   string // of its page; "" for the first page
	Index    int    // of its edge on that page
	Reason   string // without any of its content
	// Raw is the event after the table's policies were applied. It may be invalid JSON
	// or UTF-8. It is nil if the policies cannot be applied; then Withheld is the
	// number of bytes that the event has.
	Raw      []byte
	Withheld int
}

// entry is a line of the file.
type entry struct {
	Prospect string          `json:"prospect_id"`
	Reason   string          `json:"reason"`
	Cursor   string          `json:"cursor"`
	Index    int             `json:"index"`
	Event    json.RawMessage `json:"event,omitempty"`
	// Raw is the event if some JSON parsers would reject it.
	Raw      []byte `json:"event_base64,omitempty"`
	Withheld int    `json:"event_withheld_bytes,omitempty"`
	// Policies identifies the policies that were applied: schemas.Table.Protection.
	Policies string `json:"policies,omitempty"`
}

func newEntry(e Event, policies string) entry {
	out := entry{Prospect: e.Prospect, Reason: e.Reason, Cursor: e.Cursor, Index: e.Index, Withheld: e.Withheld, Policies: policies}
	switch {
	case e.Raw == nil:
	case jsontext.IsPortable(e.Raw):
		out.Event = e.Raw
	default:
		out.Raw = e.Raw
	}
	return out
}

// parseEntry parses a line strictly, since a damaged line may still be JSON.
func parseEntry(line []byte) (e entry, ok bool) {
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if d.Decode(&e) != nil || e.Prospect == "" || e.Reason == "" || e.Index < 0 || e.Withheld < 0 {
		return e, false
	}
	_, err := d.Token()
	return e, errors.Is(err, io.EOF)
}

// line returns the entry as a line of the file.
func (e *entry) line() ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(e); err != nil {
		return nil, fmt.Errorf("quarantining an event: %w", err)
	}
	return text.Bytes(), nil
}

// text returns the event, or nil when it is withheld.
func (e *entry) text() []byte {
	if e.Event == nil {
		return e.Raw
	}
	return e.Event
}

// digest identifies the event, regardless of its page.
func (e *entry) digest() schemas.Digest {
	var compact bytes.Buffer
	if e.Event != nil {
		_ = json.Compact(&compact, e.Event) // Event is always valid JSON
	}
	h := schemas.HashValuesOf
	place := ""
	if e.Withheld > 0 { // no content distinguishes it
		place = fmt.Sprint(e.Withheld, e.Index, e.Cursor)
	}
	return h("prospect_id").String(e.Prospect).
		Add(h("reason").String(e.Reason)).
		Add(h("event").String(compact.String())).
		Add(h("raw").String(string(e.Raw))).
		Add(h("policies").String(e.Policies)).
		Add(h("withheld").String(place)).Seal()
}

// eventType returns the type of an event, or "". The event may be invalid JSON.
func eventType(event []byte) (name string) {
	members, ok := jsontext.Members(event)
	if !ok {
		return ""
	}
	for key, value := range members {
		if jsontext.Unquote(key) == "type" && len(value) > 0 && value[0] == '"' && jsontext.IsValid(value) {
			name = jsontext.Unquote(value)
		}
	}
	return name
}

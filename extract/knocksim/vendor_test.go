package knocksim

import (
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// One world, with and without the vendor's changes.
var (
	changeless = Options{Prospects: 300, Events: 20_000, Seed: 6}
	changing   = Options{Prospects: 300, Events: 20_000, Seed: 6, VendorChanges: true}
)

type parsedNode struct {
	Type, Description string
	CreatedAt         time.Time
	Data              map[string]json.RawMessage
}

func parseNode(t *testing.T, node []byte) (n parsedNode) {
	t.Helper()
	if err := json.Unmarshal(node, &n); err != nil {
		t.Fatalf("%v\n%s", err, node)
	}
	return n
}

func TestVendorChanges(t *testing.T) {
	var events []parsedNode
	for _, nodes := range truth(mustNew(t, changing)) {
		for _, node := range nodes {
			events = append(events, parseNode(t, node))
		}
	}
	for _, c := range []struct {
		kind, field string
		from, to    int    // days of January, inclusive
		forms       string // exactly the forms that occur; an empty one is a missing field
	}{
		{"SMS_MESSAGE", "sentiment", 1, 4, ``},
		{"SMS_MESSAGE", "sentiment", 5, 31, `"positive"|"neutral"|"negative"`},
		{"EMAIL_MESSAGE", "sentiment", 1, 4, ``},
		{"EMAIL_MESSAGE", "sentiment", 5, 31, `"positive"|"neutral"|"negative"`},
		{"APPOINTMENT_CREATED", "reminders", 1, 10, ``},
		{"APPOINTMENT_CREATED", "reminders", 11, 19, `[0-3]`},
		{"APPOINTMENT_CREATED", "reminders", 20, 31, `[0-3]|[0-3]\.5`},
		{"SMS_MESSAGE", "segments", 1, 23, `|[1-3]`}, // an inbound one has none
		{"SMS_MESSAGE", "segments", 24, 31, `|"[1-3]"|"unknown"|{"count":[1-3]}`},
		{"VOICE_MESSAGE", "durationSeconds", 16, 31, `[0-9]+`},
		{"VOICE_MESSAGE", "transcript", 16, 31, `".+"`},
		{"VOICE_MESSAGE", "direction", 16, 31, `"inbound"|"outbound"`},
		{"VOICE_MESSAGE", "sentiment", 16, 31, ``},
	} {
		t.Run(c.kind+" "+c.field+" from "+strconv.Itoa(c.from), func(t *testing.T) {
			forms := strings.Split(c.forms, "|")
			missing := slices.Clone(forms)
			for _, e := range events {
				if e.Type != c.kind || e.CreatedAt.Day() < c.from || e.CreatedAt.Day() > c.to {
					continue
				}
				form := slices.IndexFunc(forms, func(form string) bool {
					return regexp.MustCompile(`^` + form + `$`).Match(e.Data[c.field])
				})
				if form < 0 {
					t.Fatalf("on %s the value is %q", e.CreatedAt, e.Data[c.field])
				}
				missing = slices.DeleteFunc(missing, func(u string) bool { return u == forms[form] })
			}
			if len(missing) > 0 {
				t.Errorf("no value has the form %q", missing)
			}
		})
	}
}

// Everything that the vendor does not change has the same bytes as in the world without
// changes, and a voice message replaces an SMS.
func TestVendorChangesNothingElse(t *testing.T) {
	changed := regexp.MustCompile(`,"(sentiment|reminders|segments)":([0-9.]+|"[a-z0-9]+"|{[^}]*})`)
	without := truth(mustNew(t, changeless))
	voices, texts := 0, 0
	for id, nodes := range truth(mustNew(t, changing)) {
		if len(nodes) != len(without[id]) {
			t.Fatalf("prospect %s has %d events, and %d without changes", id, len(nodes), len(without[id]))
		}
		for i, node := range nodes {
			is, was := parseNode(t, node), parseNode(t, without[id][i])
			switch {
			case is.Type == "VOICE_MESSAGE":
				voices++
				if was.Type != "SMS_MESSAGE" || !is.CreatedAt.Equal(was.CreatedAt) || is.CreatedAt.Day() < 16 {
					t.Fatalf("a voice message replaces another event:\n%s\n%s", without[id][i], node)
				}
				if !strings.Contains(is.Description, "voice message") || len(is.Data) != 5 {
					t.Fatalf("this is not a voice message: %s", node)
				}
			case is.CreatedAt.Day() < 5:
				if string(node) != string(without[id][i]) {
					t.Fatalf("an event differs before the first change:\n%s\n%s", without[id][i], node)
				}
			default:
				if is.Type == "SMS_MESSAGE" && is.CreatedAt.Day() >= 16 {
					texts++
				}
				if got, want := changed.ReplaceAllString(string(node), ""), changed.ReplaceAllString(string(without[id][i]), ""); got != want {
					t.Fatalf("other parts of an event differ:\n%s\n%s", want, got)
				}
			}
		}
	}
	if share := float64(voices) / float64(voices+texts); share < 0.15 || share > 0.25 {
		t.Errorf("%.2f of the SMS are voice messages, want about 0.2", share)
	}
}

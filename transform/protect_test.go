package transform_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"prospector/schemas"
)

const secret = "a key that is long enough"

// hashed returns the hash of a text, as any program with the key can compute it.
func hashed(secret, text string) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(text))
	return hex.EncodeToString(h.Sum(nil))
}

// protecting returns the built-in table with policies for columns by name, and with a column
// code for data.code of appointments.
func protecting(t testing.TB, secret string, policies map[string]schemas.Policy) schemas.Table {
	t.Helper()
	table := schemas.KnockEvents()
	table.HashKey = schemas.NewKey(secret)
	columns := []schemas.Column{{Name: "code", Type: schemas.String, From: []string{"data.code", "code"}, When: []string{"APPOINTMENT_*"}}}
	for _, c := range table.Columns {
		if _, ok := policies[c.Name]; ok {
			columns = append(columns, c)
		}
	}
	for i := range columns {
		columns[i].Policy = policies[columns[i].Name]
	}
	table, err := table.Declare(columns...)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

var everyPolicy = map[string]schemas.Policy{
	"message_from": schemas.Hash, "message_to": schemas.Mask, "message_subject": schemas.Drop, "message_body": schemas.Redact, "code": schemas.Hash,
}

func TestPolicies(t *testing.T) {
	table := protecting(t, secret, everyPolicy)
	hash := func(text string) string { return hashed(secret, text) }
	for _, test := range []struct {
		name, event string
		columns     map[string]any // the protected columns
		extra       string
	}{
		{"texts", `"data":{"from":"+12065550123","to":"jane.doe@example.com","subject":"Your tour","body":"hello"}`,
			map[string]any{"message_from": hash("+12065550123"), "message_to": "j***@example.com", "message_body": "[redacted]"}, ""},
		{"the hash of a text, not of its JSON", `"data":{"from":"\u00e9\""}`, map[string]any{"message_from": hash(`é"`)}, ""},
		{"null stays unchanged", `"data":{"from":null,"to":null,"subject":null,"body":null}`, nil,
			`{"data":{"body":null,"from":null,"subject":null,"to":null}}`},
		{"an empty text", `"data":{"from":"","to":"","subject":"","body":""}`,
			map[string]any{"message_from": hash(""), "message_to": "", "message_body": "[redacted]"}, ""},
		{"numbers and bools", `"data":{"from":1.0,"to":12065550123,"subject":7,"body":true}`,
			map[string]any{"message_from": hash("1.0"), "message_to": "***", "message_body": "[redacted]"}, ""},
		{"complete objects and arrays", `"data":{"from":{"b": 1, "a":"x"},"to":["jane@example.com"],"subject":{"a":1},"body":[]}`,
			map[string]any{"message_from": hash(`{"a":"x","b":1}`), "message_to": "***", "message_body": "[redacted]"}, ""},
		{"other paths, including unused ones", `"data":{"from":"a","sender":"b","toNumber":"5550123","title":"t","text":"x","content":"y"}`,
			map[string]any{"message_from": hash("a"), "message_to": "***0123", "message_body": "[redacted]"},
			`{"$from":{"message_body":"data.text","message_to":"data.toNumber"},"data":{"content":"[redacted]","sender":"` + hash("b") + `"}}`},
		{"a type that the column does not apply to", `"data":{"code":"1234"},"code":7`, nil,
			`{"code":"` + hash("7") + `","data":{"code":"` + hash("1234") + `"}}`},
		{"a text where an object should be", `"data":"+12065550123"`, nil, `{"data":"[redacted]"}`},
		{"texts that are not Unicode", `"data":{"from":"a\ud83d","to":"jane\ud83d@example.com b\ude00","subject":"\ud83d","body":"\ud83d","other":"\ud83d"}`,
			map[string]any{"message_from": hash("a\xed\xa0\xbd"), "message_to": "j***@example.com ***", "message_body": "[redacted]"}, `{"data":{"other":{"$bytes":"7aC9"}}}`},
		{"a text that is not Unicode where an object should be", `"data":"\ud83d"`, nil, `{"data":"[redacted]"}`},
		{"nothing else is left of the object", `"data":{"subject":"a"}`, nil, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := flattenBy(t, table, map[string][]string{"1": {page(`{"type":"T",` + at + `,` + test.event + `}`)}})
			if len(r.rows) != 1 {
				t.Fatalf("no row: %+v", r.rejected)
			}
			got := map[string]any{"extra_json": ""}
			for name := range everyPolicy {
				if v, ok := r.rows[0][name]; ok {
					got[name] = v
				}
			}
			if v, ok := r.rows[0]["extra_json"]; ok {
				got["extra_json"] = v
			}
			want := map[string]any{"extra_json": test.extra}
			for name, v := range test.columns {
				want[name] = v
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the row differs (-want +got):\n%s", diff)
			}
		})
	}
}

// A rejected event does not contain protected values.
func TestProtectedQuarantine(t *testing.T) {
	table := protecting(t, secret, everyPolicy)
	for _, test := range []struct{ name, body, raw string }{
		{"no time", page(`{"type":"T", "data":{"to":"jane@example.com","subject":"s","n":1.0}}`), `{"data":{"n":1.0,"to":"j***@example.com"},"type":"T"}`},
		{"nothing is left", page(`{"data":{"subject":"s"}}`), `{}`},
		{"reserved key", page(`{"type":"T",` + at + `,"$from":{},"data":{"from":null}}`), `{"$from":{},` + at + `,"data":{"from":null},"type":"T"}`},
		{"no object", page(`["jane"]`), ""},
		{"a key twice", page(`{"type":"T",` + at + `,"data":{"to":"jane@example.com","to":1}}`), ""},
		{"a key twice, deep", page(`{"type":"T",` + at + `,"a":[{"b":1,"b":1}]}`), ""},
		{"a key that is not Unicode", page("{\"type\":\"T\"," + at + ",\"\xff\":\"jane\"}"), ""},
		{"half a surrogate pair in a key", page(`{"type":"T",` + at + `,"\ud83d":"jane"}`), ""},
		{"half a surrogate pair", page(`{"type":"T","a":"\ud83d","data":{"to":"jane\ud83d@example.com","from":null,"subject":"\ud83d","body":{"a":"\ud83d"}}}`),
			`{"a":{"$bytes":"7aC9"},"data":{"body":"[redacted]","from":null,"to":"j***@example.com"},"type":"T"}`},
		{"not JSON", page(`{"type":"T",` + at + `,"data":{"to":"jane@example.com","n":NaN}}`), ""},
		{"nested too deeply", page(`{"type":"T",` + at + `,"data":{"to":"jane"},"n":` + strings.Repeat("[", 400) + strings.Repeat("]", 400) + `}`), ""},
		{"two nodes", `{"edges":[{"node":{"data":{"to":"jane"}},"node":{}}]}`, ""},
		{"no node", `{"edges":[{"nod":{"data":{"to":"jane"}}}]}`, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := flattenBy(t, table, map[string][]string{"1": {test.body}})
			if len(r.rejected) != 1 {
				t.Fatalf("the rejected events are %+v", r.rejected)
			}
			got := r.rejected[0]
			if string(got.Raw) != test.raw || (got.Withheld > 0) != (test.raw == "") {
				t.Errorf("the raw bytes are %q, and %d are withheld", got.Raw, got.Withheld)
			}
		})
	}
}

// A protected value is never in a row or in quarantine, wherever it is in the event. The
// protection does not change IDs.
func TestProtectedValuesDoNotLeak(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	table := protecting(t, secret, everyPolicy)
	const marker = "Secret"
	const encoded = "U2VjcmV0" // the marker in base64
	values := []string{`"` + marker + `\ud83d"`, `{"a":"` + marker + `\ud83d"}`, "[\"" + marker + "\xff\"]", `"` + marker + `"`, `{"a":"` + marker + `"}`, `[["` + marker + `"],1]`, `null`, `7`}
	for range 3000 {
		var data []string
		for _, c := range table.Columns {
			for _, path := range c.From {
				if key, ok := strings.CutPrefix(path, "data."); ok && c.Policy != "" && rng.IntN(3) == 0 {
					data = append(data, fmt.Sprintf("%q:%s", respelled(rng, key), values[rng.IntN(len(values))]))
				}
			}
		}
		fields := []string{fmt.Sprintf("%q:{%s}", respelled(rng, "data"), strings.Join(data, ",")),
			fmt.Sprintf("%q:%s", respelled(rng, "code"), values[rng.IntN(len(values))]), `"x":1`}
		for _, field := range []string{at, `"type":"APPOINTMENT_CREATED"`} {
			if rng.IntN(4) > 0 { // without the field, the event is rejected
				fields = append(fields, field)
			}
		}
		if rng.IntN(8) == 0 {
			fields = append(fields, fields[0])
		}
		event := `{` + strings.Join(fields, ",") + `}`
		events := map[string][]string{"1": {page(event)}}
		r, plain := flattenBy(t, table, events), flatten(t, events)
		output := fmt.Sprint(r.rows)
		for _, rejected := range r.rejected {
			output += rejected.Reason + string(rejected.Raw)
		}
		if strings.Contains(output, marker) || strings.Contains(output, encoded) {
			t.Fatalf("a protected value leaked: %s\nevent: %s", output, event)
		}
		if len(plain.rows) != len(r.rows) || len(r.rows) > 0 && plain.rows[0]["event_id"] != r.rows[0]["event_id"] {
			t.Fatalf("policies change IDs: %s", event)
		}
	}
}

// respelled returns a key, sometimes with letters in another case.
func respelled(rng *rand.Rand, key string) string {
	if rng.IntN(3) > 0 {
		return key
	}
	return strings.Map(func(r rune) rune {
		for range rng.IntN(3) {
			r = unicode.SimpleFold(r)
		}
		return r
	}, key)
}

// A published value that is protected is never mistaken for the original value.
func TestConformPolicies(t *testing.T) {
	const other = "another key of that length"
	policy := func(p schemas.Policy) map[string]schemas.Policy {
		return map[string]schemas.Policy{"message_from": p}
	}
	removed := map[string]any{}
	with := func(text string) map[string]any { return map[string]any{"message_from": text} }
	for _, test := range []struct {
		name     string
		from, to schemas.Policy
		secret   string // of the other table
		want     map[string]any
	}{
		{"newly hashed", "", schemas.Hash, secret, with(hashed(secret, "Jane"))},
		{"newly masked", "", schemas.Mask, secret, with("J***")},
		{"newly redacted", "", schemas.Redact, secret, with("[redacted]")},
		{"newly dropped", "", schemas.Drop, secret, removed},
		{"hashed alike", schemas.Hash, schemas.Hash, secret, with(hashed(secret, "Jane"))},
		{"masked alike", schemas.Mask, schemas.Mask, secret, with("J***")},
		{"hashed with another key", schemas.Hash, schemas.Hash, other, removed},
		{"hashed, then masked", schemas.Hash, schemas.Mask, secret, removed},
		{"hashed, then redacted", schemas.Hash, schemas.Redact, secret, with("[redacted]")},
		{"masked, then dropped", schemas.Mask, schemas.Drop, secret, removed},
		{"masked, then hashed", schemas.Mask, schemas.Hash, secret, removed},
		{"redacted, then masked", schemas.Redact, schemas.Mask, secret, removed},
		{"hashed, then without a policy", schemas.Hash, "", secret, removed},
		{"dropped, then without a policy", schemas.Drop, "", secret, removed},
	} {
		t.Run(test.name, func(t *testing.T) {
			from, to := protecting(t, secret, policy(test.from)), protecting(t, test.secret, policy(test.to))
			r := flattenBy(t, from, map[string][]string{"1": {page(`{"type":"T",`+at+`,"data":{"from":"Jane"}}`, `{"type":"U",`+at+`,"data":{"from":null}}`)}})
			rows := r.conform(t, from, to)
			got := map[string]any{}
			for _, name := range []string{"message_from", "extra_json"} {
				if v, ok := rows[0][name]; ok {
					got[name] = v
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("the row differs (-want +got):\n%s", diff)
			}
			if extra := rows[1]["extra_json"]; extra != `{"data":{"from":null}}` {
				t.Errorf("for a null, extra_json is %v", extra)
			}
		})
	}
	t.Run("inside a value that now has its own column", func(t *testing.T) {
		from := protecting(t, secret, policy(schemas.Hash))
		to, err := schemas.KnockEvents().Core().Declare(schemas.Column{Name: "data", Type: schemas.JSON, From: []string{"data"}})
		if err != nil {
			t.Fatal(err)
		}
		r := flattenBy(t, from, map[string][]string{"1": {page(`{"type":"T",` + at + `,"data":{"from":"Jane","n":[{"from":1}]}}`)}})
		if got := fmt.Sprintf("%s", r.conform(t, from, to)[0]["data"]); got != `{"n":[{"from":1}]}` {
			t.Errorf("the column has %s", got)
		}
	})
	t.Run("the same policies change nothing", func(t *testing.T) {
		table := protecting(t, secret, everyPolicy)
		rng := rand.New(rand.NewPCG(7, 8))
		for range 1000 {
			r := flattenBy(t, table, map[string][]string{"1": {page(oddEvent(rng, oddTimes))}})
			if diff := cmp.Diff(r.rows, r.conform(t, table, table)); diff != "" {
				t.Fatalf("the row differs (-row +conformed):\n%s", diff)
			}
		}
	})
}

// Events are different even if they differ only in values that are not in their rows. A
// repetition of the same event is a duplicate.
func TestDifferentEventsWithOneRow(t *testing.T) {
	discarding := schemas.KnockEvents()
	discarding.UnknownField = schemas.Discard
	for name, table := range map[string]schemas.Table{
		"redacted": protecting(t, "", map[string]schemas.Policy{"message_body": schemas.Redact}),
		"dropped":  protecting(t, "", map[string]schemas.Policy{"message_body": schemas.Drop}),
		"unknown":  discarding,
	} {
		t.Run(name, func(t *testing.T) {
			event := func(text string) string {
				return `{"type":"SMS_MESSAGE","createdAt":"2022-01-13T00:00:00Z","data":{"body":` + text + `}}`
			}
			if name == "unknown" {
				event = func(text string) string {
					return `{"type":"SMS_MESSAGE","createdAt":"2022-01-13T00:00:00Z","data":{"other":` + text + `}}`
				}
			}
			r := flattenBy(t, table, map[string][]string{"p": {
				page(event(`"a"`), event(`"b"`)), page(event(` "b" `), event(`"c"`)),
			}})
			if b := r.books; b.Rows != 3 || b.Duplicates != 1 || b.Tied != 3 || len(r.rows) != 3 {
				t.Errorf("there are %d rows, and the books are %+v", len(r.rows), b)
			}
		})
	}
}

// If a place above a protected place has a value that is not an object, the value is
// redacted, because it may have the protected data in another shape.
func TestProtectedInAnotherShape(t *testing.T) {
	table := protecting(t, "", map[string]schemas.Policy{"message_body": schemas.Mask})
	for _, data := range []string{`[{"body":"SECRET"}]`, `"{\"body\":\"SECRET\"}"`, `["SECRET"]`} {
		r := flattenBy(t, table, map[string][]string{"1": {page(`{"type":"T",` + at + `,"data":` + data + `}`)}})
		if got := r.rows[0]["extra_json"]; got != `{"data":"[redacted]"}` {
			t.Errorf("extra_json for %s is %v", data, got)
		}
	}
	for _, data := range []string{`{}`, `null`} {
		r := flattenBy(t, table, map[string][]string{"1": {page(`{"type":"T",` + at + `,"data":` + data + `}`)}})
		if got := r.rows[0]["extra_json"]; got != `{"data":`+data+`}` {
			t.Errorf("extra_json for %s is %v", data, got)
		}
	}
}

// A policy applies to a path regardless of the case of its keys. A column takes values only
// from the exact path.
func TestPoliciesMatchRegardlessOfCase(t *testing.T) {
	table := protecting(t, secret, everyPolicy)
	nested, err := schemas.KnockEvents().Core().Declare(
		schemas.Column{Name: "name", Type: schemas.String, From: []string{"guest.name"}, Policy: schemas.Redact},
		schemas.Column{Name: "sky", Type: schemas.String, From: []string{"guest.sky.mask"}, Policy: schemas.Mask},
		schemas.Column{Name: "upper", Type: schemas.String, From: []string{"Guest.size"}},
	)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name  string
		table schemas.Table
		event string
		body  any // of the column message_body
		extra string
	}{
		{"the last key", table, `"data":{"Body":"SECRET"}`, nil, `{"data":{"Body":"[redacted]"}}`},
		{"the first key", table, `"Data":{"body":"SECRET","n":1}`, nil, `{"Data":{"body":"[redacted]","n":1}}`},
		{"every key", table, `"DATA":{"BODY":"SECRET"}`, nil, `{"DATA":{"BODY":"[redacted]"}}`},
		{"several spellings", table, `"data":{"body":"SECRET","Body":"SECRET","BODY":"SECRET"}`, "[redacted]", `{"data":{"BODY":"[redacted]","Body":"[redacted]"}}`},
		{"several spellings of an object", table, `"Data":{"body":"SECRET","a":1},"DATA":{"Body":"SECRET","b":2},"data":{"c":3}`, nil,
			`{"DATA":{"Body":"[redacted]","b":2},"Data":{"a":1,"body":"[redacted]"},"data":{"c":3}}`},
		{"a key that is written with escapes", table, `"data":{"\u0042ody":"SECRET"}`, nil, `{"data":{"Body":"[redacted]"}}`},
		{"a value of another shape", table, `"data":{"Body":{"a":["SECRET"]}}`, nil, `{"data":{"Body":"[redacted]"}}`},
		{"a text above", table, `"Data":"SECRET"`, nil, `{"Data":"[redacted]"}`},
		{"a list above", table, `"Data":[{"body":"SECRET"}]`, nil, `{"Data":"[redacted]"}`},
		{"nothing above", table, `"Data":{},"DATA":null`, nil, `{"DATA":null,"Data":{}}`},
		{"null", table, `"data":{"Body":null}`, nil, `{"data":{"Body":null}}`},
		{"dropped", table, `"data":{"Subject":"SECRET","x":1}`, nil, `{"data":{"x":1}}`},
		{"hashed", table, `"data":{"FROM":"Jane"}`, nil, `{"data":{"FROM":"` + hashed(secret, "Jane") + `"}}`},
		{"of a column for other event types", table, `"Code":7,"data":{"CODE":"1234"}`, nil, `{"Code":"` + hashed(secret, "7") + `","data":{"CODE":"` + hashed(secret, "1234") + `"}}`},
		{"letters that fold to ASCII", nested, `"gueſt":{"\u017fky":{"mas\u212a":"SECRET"}}`, nil, "{\"gueſt\":{\"ſky\":{\"mas\u212a\":\"S***\"}}}"},
		{"an object that a column takes from in another case", nested, `"Guest":{"Name":"SECRET","size":"x"}`, nil, `{"Guest":{"Name":"[redacted]"}}`},
		{"similar names", table, `"data":{"bodies":"a","Bod":"b"},"Dataset":{"body":"c"}`, nil, `{"Dataset":{"body":"c"},"data":{"Bod":"b","bodies":"a"}}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := flattenBy(t, test.table, map[string][]string{"1": {page(`{"type":"T",` + at + `,` + test.event + `}`)}})
			if len(r.rows) != 1 {
				t.Fatalf("no row: %+v", r.rejected)
			}
			if got := r.rows[0]["extra_json"]; got != test.extra {
				t.Errorf("extra_json is %v, want %s", got, test.extra)
			}
			if got := r.rows[0]["message_body"]; got != test.body {
				t.Errorf("message_body is %v, want %v", got, test.body)
			}
			r = flattenBy(t, test.table, map[string][]string{"1": {page(`{` + test.event + `}`)}})
			if len(r.rejected) != 1 || strings.Contains(string(r.rejected[0].Raw), "SECRET") || r.rejected[0].Raw == nil {
				t.Errorf("the rejected events are %+v", r.rejected)
			}
		})
	}
}

// Policies do not change the survey of fields in another case, except for the kinds of
// protected values.
func TestSurveyOfOtherSpellings(t *testing.T) {
	node := `{"type":"T",` + at + `,"Data":{"Body":"a","x":{"y":1},"z":{}},"DATA":{"deep":[]},"data":{"Body":"b"},"SOURCE":{"title":"x"}}`
	plain, protected := surveyOf(t, schemas.KnockEvents(), node), surveyOf(t, protecting(t, secret, everyPolicy), node)
	if diff := cmp.Diff(listed(plain.Unmapped), listed(protected.Unmapped)); diff != "" {
		t.Errorf("(-without policies +with them):\n%s", diff)
	}
	dropping := protecting(t, secret, everyPolicy)
	dropping.UnknownField = schemas.Discard
	r := flattenBy(t, dropping, map[string][]string{"1": {page(node)}})
	if extra := r.rows[0]["extra_json"]; extra != nil {
		t.Errorf("fields are dropped, but extra_json is %v", extra)
	}
}

// Published values under keys in another case are protected and removed like all others.
func TestConformPoliciesRegardlessOfCase(t *testing.T) {
	policy := func(p schemas.Policy) schemas.Table {
		return protecting(t, secret, map[string]schemas.Policy{"message_from": p})
	}
	for _, test := range []struct {
		name     string
		from, to schemas.Policy
		want     any
	}{
		{"newly masked", "", schemas.Mask, `{"DATA":{"From":"J***","x":1},"data":{"FROM":"J***"}}`},
		{"masked alike", schemas.Mask, schemas.Mask, `{"DATA":{"From":"J***","x":1},"data":{"FROM":"J***"}}`},
		{"hashed alike", schemas.Hash, schemas.Hash, `{"DATA":{"From":"` + hashed(secret, "Jane") + `","x":1},"data":{"FROM":"` + hashed(secret, "Joe") + `"}}`},
		{"hashed, then masked", schemas.Hash, schemas.Mask, `{"DATA":{"x":1}}`},
		{"masked, then as it comes", schemas.Mask, "", `{"DATA":{"x":1}}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			from, to := policy(test.from), policy(test.to)
			r := flattenBy(t, from, map[string][]string{"1": {page(`{"type":"T",` + at + `,"DATA":{"From":"Jane","x":1},"data":{"FROM":"Joe"}}`)}})
			if got := r.conform(t, from, to)[0]["extra_json"]; got != test.want {
				t.Errorf("extra_json is %v, want %v", got, test.want)
			}
		})
	}
	t.Run("a path that is now written in another case", func(t *testing.T) {
		spelled := func(path string) schemas.Table {
			table, err := schemas.KnockEvents().Core().Declare(schemas.Column{Name: "c", Type: schemas.String, From: []string{path}, Policy: schemas.Mask})
			if err != nil {
				t.Fatal(err)
			}
			return table
		}
		from, to := spelled("data.code"), spelled("data.Code")
		r := flattenBy(t, from, map[string][]string{"1": {page(`{"type":"T",` + at + `,"data":{"Code":"Jane","code":"Joe"}}`)}})
		row := r.conform(t, from, to)[0]
		if row["c"] != "J***" || row["extra_json"] != `{"data":{"code":"J***"}}` {
			t.Errorf("the row is %v", row)
		}
	})
}

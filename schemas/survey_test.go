package schemas

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSurveyJSON(t *testing.T) {
	s := NewSurvey()
	s.EventTypes["SMS_MESSAGE"] = 3
	s.Unmapped[Field{"SMS_MESSAGE", "data.b", KindString}] = 2
	s.Unmapped[Field{"SMS_MESSAGE", "data.a", KindString}] = 1
	s.Unmapped[Field{"EMAIL_MESSAGE", "data.c", KindBool}] = 4
	s.Mismatched[Field{"SMS_MESSAGE", "createdAt", KindNumber}] = 5
	s.Further = 6
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"event_types":{"SMS_MESSAGE":3},"unmapped":[` +
		`{"event_type":"EMAIL_MESSAGE","path":"data.c","kind":"bool","events":4},` +
		`{"event_type":"SMS_MESSAGE","path":"data.a","kind":"string","events":1},` +
		`{"event_type":"SMS_MESSAGE","path":"data.b","kind":"string","events":2}],` +
		`"mismatched":[{"event_type":"SMS_MESSAGE","path":"createdAt","kind":"number","events":5}],"further":6}`
	if string(text) != want {
		t.Errorf("the JSON is\n%s, want\n%s", text, want)
	}
	var back Survey
	if err := json.Unmarshal(text, &back); err != nil || cmp.Diff(s, back) != "" {
		t.Errorf("the parsed survey is %+v (%v)", back, err)
	}
	back.Add(s)
	if back.EventTypes["SMS_MESSAGE"] != 6 || back.Unmapped[Field{"SMS_MESSAGE", "data.b", KindString}] != 4 ||
		back.Mismatched[Field{"SMS_MESSAGE", "createdAt", KindNumber}] != 10 || back.Further != 12 {
		t.Errorf("added to itself, the survey is %+v", back)
	}
	var empty Survey
	if err := json.Unmarshal([]byte(`{}`), &empty); err != nil || cmp.Diff(NewSurvey(), empty) != "" {
		t.Errorf("an empty survey is parsed as %+v (%v)", empty, err)
	}
	for _, bad := range []string{`[]`, `{"unmapped":{}}`, `{"further":"1"}`} {
		if err := json.Unmarshal([]byte(bad), new(Survey)); err == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
}

func TestInfer(t *testing.T) {
	sms := func(path, kind string) Field { return Field{"SMS_MESSAGE", path, kind} }
	for _, test := range []struct {
		name   string
		fields map[Field]int64
		want   []string // name type path types: events
	}{
		{"no field", nil, nil},
		{"one field", map[Field]int64{sms("data.page.pathName", KindString): 2},
			[]string{"page_path_name string data.page.pathName SMS_MESSAGE: 2"}},
		{"several event types, the most events first", map[Field]int64{
			sms("data.a", KindBool): 2, {"WEB_MESSAGE", "data.a", KindBool}: 3, {"WEB_MESSAGE", "data.b", KindNumber}: 9},
			[]string{"b float64 data.b WEB_MESSAGE: 9", "a bool data.a SMS_MESSAGE,WEB_MESSAGE: 5"}},
		{"integers and numbers", map[Field]int64{sms("a", KindInteger): 1, sms("a", KindNumber): 1}, []string{"a float64 a SMS_MESSAGE: 2"}},
		{"integers", map[Field]int64{sms("a", KindInteger): 1}, []string{"a int64 a SMS_MESSAGE: 1"}},
		{"texts and integers", map[Field]int64{sms("a", KindInteger): 1, sms("a", KindString): 1}, []string{"a string a SMS_MESSAGE: 2"}},
		{"a list", map[Field]int64{sms("a", KindArray): 1}, []string{"a json a SMS_MESSAGE: 1"}},
		{"an object and a field of it", map[Field]int64{sms("data.a", KindObject): 9, sms("data.a.b", KindString): 1},
			[]string{"a_b string data.a.b SMS_MESSAGE: 1"}},
		{"a text or an object, and a field of the object", map[Field]int64{sms("a", KindObject): 9, sms("a", KindString): 2, sms("a.b", KindBool): 1},
			[]string{"a string a SMS_MESSAGE: 11", "a_b bool a.b SMS_MESSAGE: 1"}},
		{"names that are in use", map[Field]int64{sms("data.messageBody", KindString): 3, sms("message_body", KindString): 2, sms("data.event_id", KindString): 1},
			[]string{"field_message_body string data.messageBody SMS_MESSAGE: 3", "field_message_body_2 string message_body SMS_MESSAGE: 2", "field_event_id string data.event_id SMS_MESSAGE: 1"}},
		{"keys that are not valid names", map[Field]int64{sms("data.1st", KindString): 3, sms("data.日本", KindString): 2, sms("event_month", KindString): 1},
			[]string{"field_1st string data.1st SMS_MESSAGE: 3", "field string data.日本 SMS_MESSAGE: 2", "field_event_month string event_month SMS_MESSAGE: 1"}},
		{"a path that already has a column", map[Field]int64{sms("data.text", KindString): 3, sms("data.body.x", KindString): 1},
			[]string{"body_x string data.body.x SMS_MESSAGE: 1"}},
		{"an event type that no column can name, next to one that it can", map[Field]int64{sms("a", KindString): 2, {"", "a", KindString}: 1, {"S*", "a", KindString}: 1},
			[]string{"a string a SMS_MESSAGE: 2"}},
		{"paths and event types that no column can have", map[Field]int64{sms("", KindString): 1, sms("a..b", KindString): 1, {"A*", "a", KindString}: 1, {"", "b", KindString}: 1}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, p := range Infer(KnockEvents(), Survey{Unmapped: test.fields}) {
				got = append(got, fmt.Sprintf("%s %s %s %s: %d", p.Column.Name, p.Column.Type, strings.Join(p.Column.From, ","), strings.Join(p.Column.When, ","), p.Events))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("the proposals differ (-want +got):\n%s", diff)
			}
		})
	}
}

// Any columns that Infer proposes can be declared, and Proposal.Source declares them.
func TestInferredColumnsCanBeDeclared(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	keys := []string{"a", "b", "A", "aB", "a_b", "data", "text", "body", "event_month", "extra_json", "_TABLE_x", "", "1", "ü", `"`, "${x}", "%{if}", "a\nb", "a b", strings.Repeat("x", 400)}
	types := []string{"SMS_MESSAGE", "APPOINTMENT_CREATED", "a, b", "A*", "*", "", `"${x}"`}
	kinds := []string{KindString, KindInteger, KindNumber, KindBool, KindObject, KindArray}
	proposed := 0
	for range 500 {
		fields := make(map[Field]int64)
		for range rng.IntN(12) {
			path := make([]string, 1+rng.IntN(3))
			for i := range path {
				path[i] = keys[rng.IntN(len(keys))]
			}
			fields[Field{types[rng.IntN(len(types))], strings.Join(path, "."), kinds[rng.IntN(len(kinds))]}] = rng.Int64N(5) + 1
		}
		table := []Table{KnockEvents(), KnockEvents().Core()}[rng.IntN(2)]
		all := Infer(table, Survey{Unmapped: fields})
		var columns []Column
		source := []byte("schema \"s\" {\n")
		for _, p := range all {
			columns, source = append(columns, p.Column), append(source, p.Source()...)
		}
		proposed += len(columns)
		if _, err := table.Declare(columns...); err != nil {
			t.Fatalf("%v, for %v", err, fields)
		}
		read, err := Parse("proposed.hcl", append(source, "}\n"...))
		if err != nil {
			t.Fatalf("%v\n%s", err, source)
		}
		if diff := cmp.Diff(columns, read.Columns); diff != "" {
			t.Fatalf("the source declares other columns (-want +got):\n%s\n%s", diff, source)
		}
		if !slices.IsSortedFunc(all, func(a, b Proposal) int { return int(b.Events - a.Events) }) {
			t.Fatalf("the proposals are not in descending order of events: %v", all)
		}
	}
	if proposed < 500 {
		t.Errorf("only %d columns were proposed", proposed)
	}
}

// Bound limits a survey: it does not list keys that are data by name, and of too many
// fields, it keeps the most frequent ones.
func TestBound(t *testing.T) {
	s := NewSurvey()
	for i := range 60 {
		s.Unmapped[Field{"A", fmt.Sprintf("data.by_user.u%d.phone", i), KindString}] = int64(i)
		s.Unmapped[Field{"A", fmt.Sprintf("data.by_user.u%d.name", i), KindString}] = 1
	}
	s.Unmapped[Field{"A", "data.mood", KindString}] = 7
	for i := range 5000 {
		s.Mismatched[Field{fmt.Sprint("T", i), "data.x", KindArray}] = int64(i)
		s.EventTypes[fmt.Sprint("T", i)] = int64(i)
	}
	s.Bound()
	want := map[Field]int64{{"A", "data.by_user", KindObject}: 59, {"A", "data.mood", KindString}: 7}
	if diff := cmp.Diff(want, s.Unmapped); diff != "" {
		t.Errorf("the unmapped fields differ (-want +got):\n%s", diff)
	}
	if len(s.Mismatched) != 2000 || len(s.EventTypes) != 2000 || s.Mismatched[Field{"T4999", "data.x", KindArray}] != 4999 || s.EventTypes["T4999"] != 4999 {
		t.Errorf("%d mismatched fields and %d event types are kept", len(s.Mismatched), len(s.EventTypes))
	}
	if s.Further != 3000 {
		t.Errorf("%d fields are left out", s.Further)
	}
}

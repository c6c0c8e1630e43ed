package schemas

import (
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func TestParseTimeFormat(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"unix_s", ""}, {"unix_ms", ""}, {"unix_us", ""},
		{"%d.%m.%Y", ""}, {"%Y-%m-%dT%H:%M:%S.%fZ", ""}, {"%F %T", ""}, {"%D", ""}, {"%Y%m%d%H%M%S", ""}, {"%Y/%j", ""},
		{"%a, %d %b %Y %T %z", ""}, {"%B %e, %Y %I:%M:%S %p", ""}, {"%m/%d/%y %R", ""}, {"%FT%T%Ez", ""},
		{"ms", "write unix_s, unix_ms, unix_us or a layout"}, {"2006-01-02", "or a layout"}, {"yyyy-MM-dd", "or a layout"},
		{"%Q", `unknown directive "%Q"`}, {"%d.%m.%Y %Z", `unknown directive "%Z"`}, {"%d.%m.%Y %", `unknown directive "%"`}, {"%f %F", `unknown directive "%f"`},
		{"%H:%M", "has no year"}, {"%Y", "has no day of the year"}, {"%m.%Y", "no day"}, {"%F %I:%M", "needs both %I and %p"}, {"%F %H %p", "needs both"},
		{"%Y-%m-%d at %H", `has "a" between`}, {"%Y1%m%d", `has "1" between`}, {"%F_%T", `has "_" between`}, {"Datum: %F", `has "D"`}, {"%F\t%T", "between"},
	} {
		_, err := ParseTimeFormat(test.text)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%q: the error is %v, not %q", test.text, err, test.want)
		}
	}
}

func TestTimesOfLayouts(t *testing.T) {
	for _, test := range []struct {
		layout, text, want string // RFC 3339; "" for no time
		exact              bool
	}{
		{"%d.%m.%Y", "13.01.2022", "2022-01-13T00:00:00Z", true},
		{"%d.%m.%Y", "3.01.2022", "", false},
		{"%d.%m.%Y", "31.02.2022", "", false},
		{"%d.%m.%Y", "13.01.2022 ", "", false},
		{"%d.%m.%Y", "01.13.2022", "", false},
		{"%d.%m.%Y", "13.01.0000", "", false},
		{"%m/%d/%Y %I:%M %p", "01/13/2022 07:27 PM", "2022-01-13T19:27:00Z", true},
		{"%d.%m.%Y %H:%M:%S", "13.01.2022 19:27:37", "2022-01-13T19:27:37Z", true},
		{"%d.%m.%Y %H:%M:%S", "13.01.2022 19:27:37.5", "2022-01-13T19:27:37.5Z", false},
		{"%F %T.%f", "2022-01-13 19:27:37.500000", "2022-01-13T19:27:37.5Z", true},
		{"%F %T.%f", "2022-01-13 19:27:37.5", "2022-01-13T19:27:37.5Z", false},
		{"%F %T.%f", "2022-01-13 19:27:37.1234567", "2022-01-13T19:27:37.123456Z", false},
		{"%F %T %z", "2022-01-13 19:27:37 +0000", "2022-01-13T19:27:37Z", true},
		{"%F %T %z", "2022-01-13 19:27:37 +0200", "2022-01-13T17:27:37Z", false},
		{"%FT%T%Ez", "2022-01-13T19:27:37-08:00", "2022-01-14T03:27:37Z", false},
		{"%d %b %Y", "13 jan 2022", "2022-01-13T00:00:00Z", false},
		{"%B %e, %Y", "January  3, 2022", "2022-01-03T00:00:00Z", true},
		{"%Y%m%d%H%M%S", "20220113192737", "2022-01-13T19:27:37Z", true},
		{"%F", "9999-12-31", "9999-12-31T00:00:00Z", true},
	} {
		f, err := ParseTimeFormat(test.layout)
		if err != nil {
			t.Fatal(err)
		}
		micros, exact, ok := f.ParseText([]byte(test.text))
		got := ""
		if ok {
			got = time.UnixMicro(micros).UTC().Format(time.RFC3339Nano)
		}
		if got != test.want || exact != test.exact {
			t.Errorf("%q with the layout %q is %q, exact %t", test.text, test.layout, got, exact)
		}
	}
}

// AppendNumber appends exactly the time.
func TestAppendNumber(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for unit, micros := range map[string]int64{UnixSeconds: 1e6, UnixMillis: 1e3, UnixMicros: 1} {
		f, err := ParseTimeFormat(unit)
		if err != nil {
			t.Fatal(err)
		}
		for range 1000 {
			want := rng.Int64N(4e17) - 2e17
			if rng.IntN(2) == 0 {
				want -= want % 1e6
			}
			text := string(f.AppendNumber(nil, want))
			read, ok := new(big.Rat).SetString(text)
			if !ok || read.Mul(read, big.NewRat(micros, 1)).Cmp(big.NewRat(want, 1)) != 0 || strings.HasSuffix(text, ".") {
				t.Errorf("%d microseconds are written as %s %s", want, text, unit)
			}
		}
	}
}

// The time format of a column is part of the fingerprint, the lock and the source.
func TestTimeIsPartOfATable(t *testing.T) {
	core, _ := KnockEvents().Column("event_time")
	core.Time = UnixMillis
	declared, err := KnockEvents().Declare(core, Column{Name: "born", Type: Date, From: []string{"data.born"}, Time: "%d.%m.%Y"})
	if err != nil {
		t.Fatal(err)
	}
	changes := Diff(KnockEvents(), declared)
	if len(changes) != 2 || changes[0].String() != "eventTime -> eventTime as unix_ms" || changes[0].Safe() || changes[1].String() != `date from data.born as "%d.%m.%Y"` {
		t.Errorf("the changes are %v", changes)
	}
	if declared.Fingerprint() == KnockEvents().Fingerprint() {
		t.Error("the fingerprints are the same")
	}
	lock := Lock{"job.events": declared.Unpartitioned()}
	read, err := ParseLock("lock.hcl", lock.Encode())
	if err != nil || len(Diff(declared, read["job.events"])) != 0 {
		t.Errorf("the lock has another table (%v):\n%s", err, lock.Encode())
	}
	source := string(declared.Source())
	if !strings.Contains(source, "column \"event_time\" {\n    time = \"unix_ms\"\n  }") {
		t.Errorf("the source is\n%s", source)
	}
	for name, c := range map[string]Column{
		"another path":   {Name: "event_time", Type: Timestamp, From: []string{"at"}, Time: UnixMillis},
		"another type":   {Name: "event_time", Type: String, From: []string{"eventTime"}},
		"a bad unit":     {Name: "a", Type: Timestamp, From: []string{"a"}, Time: "ms"},
		"a text":         {Name: "a", Type: String, From: []string{"a"}, Time: UnixMillis},
		"a derived date": {Name: "event_date", Type: Date, Value: Day, Time: UnixMillis},
	} {
		if _, err := KnockEvents().Declare(c); err == nil {
			t.Errorf("%s: the column is accepted", name)
		}
	}
}

// Infer proposes a column of times if all values of a field have the same time format.
func TestInferTimes(t *testing.T) {
	field := func(path, kind string) Field { return Field{"SMS_MESSAGE", path, kind} }
	found := NewSurvey()
	for f, times := range map[Field]TimeForms{
		field("iso", KindString): ISOTime, field("day", KindString): ISODate, field("ms", KindInteger): InMillis,
		field("s", KindNumber): InSeconds, field("s", KindInteger): InSeconds, field("us", KindString): InMicros,
		field("mixed", KindString): ISOTime, field("mixed", KindInteger): InMillis, field("none", KindInteger): 0,
	} {
		found.Unmapped[f] = 1
		if times != 0 {
			found.Times[f] = times
		}
	}
	got := make(map[string]string)
	for _, p := range Infer(KnockEvents(), found) {
		got[p.Column.Name] = string(p.Column.Type) + " " + p.Column.Time
	}
	for name, want := range map[string]string{"iso": "timestamp ", "day": "date ", "ms": "timestamp unix_ms", "s": "timestamp unix_s",
		"us": "timestamp unix_us", "mixed": "string ", "none": "int64 "} {
		if got[name] != want {
			t.Errorf("%s is proposed as %q, not %q", name, got[name], want)
		}
	}
	block := KnockEvents().InferTime(FieldCount{field("eventTime", KindInteger), 1, "unix_ms"})
	if string(block) != "column \"event_time\" {\n  time = \"unix_ms\"\n}\n" {
		t.Errorf("the proposal for event_time is %q", block)
	}
	if block := KnockEvents().InferTime(FieldCount{field("eventTime", KindInteger), 1, ""}); block != nil {
		t.Errorf("the proposal for a field without a time format is %q", block)
	}
	// The sum of two surveys has the formats that both of them have.
	other := NewSurvey()
	for f, times := range map[Field]TimeForms{field("iso", KindString): ISODate, field("ms", KindInteger): InMillis, field("new", KindString): ISOTime} {
		other.Unmapped[f], other.Times[f] = 1, times
	}
	found.Add(other)
	if found.Times[field("iso", KindString)] != 0 || found.Times[field("ms", KindInteger)] != InMillis || found.Times[field("new", KindString)] != ISOTime {
		t.Errorf("the times of the sum are %v", found.Times)
	}
}

package transform

import (
	"fmt"
	"maps"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/arrow"

	"prospector/schemas"
)

func TestCoerceTime(t *testing.T) {
	for _, test := range []struct {
		form, json string
		to         schemas.Type
		want       string
		outcome    outcome
	}{
		{"unix_ms", `1643709620000`, schemas.Timestamp, "2022-02-01T10:00:20Z", exact},
		{"unix_ms", `1643709620000.5`, schemas.Timestamp, "2022-02-01T10:00:20.0005Z", exact},
		{"unix_ms", `1643709620000.0`, schemas.Timestamp, "2022-02-01T10:00:20Z", kept},
		{"unix_ms", `1.64370962e12`, schemas.Timestamp, "2022-02-01T10:00:20Z", kept},
		{"unix_ms", `"1643709620000"`, schemas.Timestamp, "2022-02-01T10:00:20Z", kept},
		{"unix_ms", `-1`, schemas.Timestamp, "1969-12-31T23:59:59.999Z", exact},
		{"unix_ms", `0`, schemas.Timestamp, "1970-01-01T00:00:00Z", exact},
		{"unix_ms", `1643709620`, schemas.Timestamp, "", mismatch}, // seconds
		{"unix_ms", `"1643709620"`, schemas.Timestamp, "", mismatch},
		{"unix_ms", `1643709620000000`, schemas.Timestamp, "", mismatch}, // microseconds: year 54057
		{"unix_ms", `"2022-02-01T10:00:20Z"`, schemas.Timestamp, "2022-02-01T10:00:20Z", kept},
		{"unix_ms", `"2022-02-01T12:00:20+02:00"`, schemas.Timestamp, "2022-02-01T10:00:20Z", kept},
		{"unix_ms", `"2022-02-01"`, schemas.Timestamp, "", mismatch},
		{"unix_ms", `" 1643709620000"`, schemas.Timestamp, "", mismatch},
		{"unix_ms", `1e999999999`, schemas.Timestamp, "", mismatch},
		{"unix_ms", `-1e18`, schemas.Timestamp, "", mismatch},
		{"unix_ms", `true`, schemas.Timestamp, "", mismatch},
		{"unix_ms", `{"a":1}`, schemas.Timestamp, "", mismatch},
		{"unix_ms", `null`, schemas.Timestamp, "", none},
		{"unix_ms", `""`, schemas.Timestamp, "", none},
		{"unix_s", `1643709620`, schemas.Timestamp, "2022-02-01T10:00:20Z", exact},
		{"unix_s", `1643709620.5`, schemas.Timestamp, "2022-02-01T10:00:20.5Z", exact},
		{"unix_s", `1643709620.1234567`, schemas.Timestamp, "2022-02-01T10:00:20.123456Z", kept},
		{"unix_s", `-0.0000001`, schemas.Timestamp, "1969-12-31T23:59:59.999999Z", kept},
		{"unix_s", `1643709620000`, schemas.Timestamp, "", mismatch},
		{"unix_s", `-62135596800`, schemas.Timestamp, "0001-01-01T00:00:00Z", exact},
		{"unix_s", `-62135596801`, schemas.Timestamp, "", mismatch},
		{"unix_s", `253402300799.999999`, schemas.Timestamp, "9999-12-31T23:59:59.999999Z", exact},
		{"unix_s", `253402300800`, schemas.Timestamp, "", mismatch},
		{"unix_us", `1643709620123456`, schemas.Timestamp, "2022-02-01T10:00:20.123456Z", exact},
		{"unix_us", `1643709620000`, schemas.Timestamp, "", mismatch}, // milliseconds
		{"unix_us", `1643709620`, schemas.Timestamp, "", mismatch},    // seconds
		{"%d.%m.%Y %H:%M", `"01.02.2022 10:00"`, schemas.Timestamp, "2022-02-01T10:00:00Z", exact},
		{"%d.%m.%Y %H:%M", `"2022-02-01T10:00:00Z"`, schemas.Timestamp, "2022-02-01T10:00:00Z", kept},
		{"%d.%m.%Y %H:%M", `"01/02/2022 10:00"`, schemas.Timestamp, "", mismatch},
		{"%d.%m.%Y %H:%M", `1643709620`, schemas.Timestamp, "", mismatch},
		{"%d.%m.%Y", `"01.02.2022"`, schemas.Date, "2022-02-01T00:00:00Z", exact},
		{"%d.%m.%Y", `"2022-02-01"`, schemas.Date, "2022-02-01T00:00:00Z", kept},
		{"%d.%m.%Y", `"2022-02-01T00:00:00Z"`, schemas.Date, "", mismatch},
		{"%d.%m.%Y %H:%M", `"01.02.2022 10:00"`, schemas.Date, "2022-02-01T00:00:00Z", kept},
		{"%d.%m.%Y %H:%M", `"01.02.2022 00:00"`, schemas.Date, "2022-02-01T00:00:00Z", exact},
		{"unix_s", `1643673600`, schemas.Date, "2022-02-01T00:00:00Z", exact},
		{"unix_s", `1643709620`, schemas.Date, "2022-02-01T00:00:00Z", kept},
		{"unix_s", `-1`, schemas.Date, "1969-12-31T00:00:00Z", kept},
	} {
		t.Run(fmt.Sprintf("%s %s %s", test.form, test.to, test.json), func(t *testing.T) {
			f, err := schemas.ParseTimeFormat(test.form)
			if err != nil {
				t.Fatal(err)
			}
			var c cell
			if got := c.coerceTime(test.to, f, parsed(t, test.json)); got != test.outcome {
				t.Fatalf("the outcome is %d, want %d", got, test.outcome)
			}
			at := time.UnixMicro(c.int).UTC()
			if test.to == schemas.Date {
				at = time.Unix(c.int*24*60*60, 0).UTC()
			}
			if got := at.Format(time.RFC3339Nano); test.outcome >= kept && got != test.want {
				t.Errorf("the value is %s, want %s", got, test.want)
			}
		})
	}
}

// A number is refused, or becomes the time that exact arithmetic computes.
func FuzzCoerceUnix(f *testing.F) {
	for _, seed := range []string{"0", "-1.5", "1643709620", "1643709620.1234567", "1643709620000", "1643709620123456", "1e12", "-62135596800", "253402300799.999999", "1e-400", "9e999999999", "12345678901234567890"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !number.MatchString(text) || len(text) > 60 {
			return
		}
		if m := exponent.FindStringSubmatch(text); m != nil && len(m[1]) > 4 {
			return
		}
		value, ok := new(big.Rat).SetString(text)
		if !ok {
			return
		}
		for _, unit := range []string{"unix_s", "unix_ms", "unix_us"} {
			form, _ := schemas.ParseTimeFormat(unit)
			micros := new(big.Rat).Mul(value, big.NewRat(form.Micros, 1))
			floor := new(big.Int).Div(micros.Num(), micros.Denom()) // Euclidean, and the denominator is positive
			var c cell
			switch got := c.coerceTime(schemas.Timestamp, form, parsed(t, text)); {
			case got == mismatch:
				if s := new(big.Int).Div(floor, big.NewInt(1e6)); s.IsInt64() && s.Int64() >= minSeconds && s.Int64() <= maxSeconds && !ofCoarserUnit(form, floor.Int64()) {
					t.Errorf("%s %s is refused", text, unit)
				}
			case big.NewInt(c.int).Cmp(floor) != 0:
				t.Errorf("%s %s is %d microseconds, want %s", text, unit, c.int, floor)
			case got == exact && string(form.AppendNumber(nil, c.int)) != text:
				t.Errorf("%s %s is exact, and rebuilt as %s", text, unit, form.AppendNumber(nil, c.int))
			}
		}
	})
}

func TestTimeForms(t *testing.T) {
	for text, want := range map[string]string{
		`"2022-01-13T19:27:37Z"`: "timestamp", `"2022-01-13"`: "date", `1643709620`: "unix_s", `"1643709620"`: "unix_s", `1643709620.5`: "unix_s",
		`1643709620000`: "unix_ms", `1643709620123456`: "unix_us", `2065550123`: "", `47569637`: "", `12065550123`: "", `"x"`: "", `true`: "", `null`: "", `{}`: "", `1e400`: "",
	} {
		if got := timeFormsOf(parsed(t, text)).String(); got != want {
			t.Errorf("%s is %q, want %q", text, got, want)
		}
	}
}

// Events whose times are numbers do not become rows. The survey has the format of the times,
// so that "schema infer" can propose it.
func TestNoUsableTime(t *testing.T) {
	var reasons []string
	f := NewFlattener(schemas.KnockEvents(), Envelope{Events: "edges", Event: "node"}, func(arrow.Record) error { return nil }, func(r Rejected) error {
		reasons = append(reasons, r.Reason)
		return nil
	})
	f.Begin("1")
	page := `{"edges":[{"node":{"type":"T","eventTime":1643709620000,"createdAt":1643709620}},{"node":{"type":"U"}}]}`
	if err := f.Page([]byte(page), ""); err != nil {
		t.Fatal(err)
	}
	const noTime = "no usable time: neither eventTime nor createdAt is a time"
	if !slices.Equal(reasons, []string{noTime, noTime}) {
		t.Errorf("the reasons are %q", reasons)
	}
	s := f.Survey()
	times := map[schemas.Field]schemas.TimeForms{
		{EventType: "T", Path: "eventTime", Kind: schemas.KindInteger}: schemas.InMillis,
		{EventType: "T", Path: "createdAt", Kind: schemas.KindInteger}: schemas.InSeconds,
	}
	if len(s.EventTypes) > 0 || !maps.Equal(s.Times, times) {
		t.Errorf("the survey has the types %v and the times %v", s.EventTypes, s.Times)
	}
}

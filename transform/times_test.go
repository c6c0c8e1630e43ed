package transform

import (
	"math/rand/v2"
	"regexp"
	"testing"
	"time"
)

func TestParseTime(t *testing.T) {
	for _, test := range []struct {
		text         string
		want         string // RFC 3339, "" for no time
		exact, naive bool
	}{
		{"2022-01-13T19:27:37.866831+00:00", "2022-01-13T19:27:37.866831Z", true, false},
		{"2022-01-13T19:27:37+00:00", "2022-01-13T19:27:37Z", true, false},
		{"2022-01-13T19:27:37Z", "2022-01-13T19:27:37Z", true, false},
		{"2022-01-13t19:27:37z", "2022-01-13T19:27:37Z", true, false},
		{"2022-01-13 19:27:37.5-00:00", "2022-01-13T19:27:37.5Z", true, false},
		{"2022-01-13T19:27:37,5Z", "2022-01-13T19:27:37.5Z", true, false},
		{"2022-01-13T19:27:37.866831000Z", "2022-01-13T19:27:37.866831Z", true, false},
		{"2022-01-13T19:27:37.8668319Z", "2022-01-13T19:27:37.866831Z", false, false},
		{"2022-01-13T19:27:37.999999999Z", "2022-01-13T19:27:37.999999Z", false, false},
		{"2022-01-13T19:27:37+05:30", "2022-01-13T13:57:37Z", false, false},
		{"2022-01-13T19:27:37-0800", "2022-01-14T03:27:37Z", false, false},
		{"2022-01-13T19:27:37+02", "2022-01-13T17:27:37Z", false, false},
		{"2022-01-13T19:27:37", "2022-01-13T19:27:37Z", false, true},
		{"2022-01-13T19:27:37.25", "2022-01-13T19:27:37.25Z", false, true},
		{"2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z", true, false},
		{"1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999Z", true, false},
		{"0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z", true, false},
		{"9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z", true, false},
		{"0001-01-01T00:00:00+01:00", "", false, false},
		{"9999-12-31T23:59:59-01:00", "", false, false},
		{"0000-01-01T00:00:00Z", "", false, false},
		{"2022-02-29T00:00:00Z", "", false, false},
		{"2022-13-01T00:00:00Z", "", false, false},
		{"2022-01-00T00:00:00Z", "", false, false},
		{"2022-01-01T24:00:00Z", "", false, false},
		{"2022-01-01T23:60:00Z", "", false, false},
		{"2022-01-01T23:59:60Z", "", false, false},
		{"2022-01-01T00:00:00.Z", "", false, false},
		{"2022-01-01T00:00:00+24:00", "", false, false},
		{"2022-01-01T00:00:00+1:00", "", false, false},
		{"2022-01-01T00:00:00+01:0", "", false, false},
		{"2022-01-01T00:00:00+01:000", "", false, false},
		{"2022-01-01T00:00:00Zulu", "", false, false},
		{"2022-01-01", "", false, false},
		{"2022-01-01T00:00", "", false, false},
		{"20220101T000000Z", "", false, false},
		{"", "", false, false},
	} {
		micros, exact, naive, ok := parseTime([]byte(test.text))
		got := ""
		if ok {
			got = time.UnixMicro(micros).UTC().Format(time.RFC3339Nano)
		}
		if got != test.want || exact != test.exact || naive != test.naive {
			t.Errorf("%q is %q, exact %t, naive %t", test.text, got, exact, naive)
		}
	}
}

var rfc3339 = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`)

// The parser agrees with the standard library.
func FuzzParseTime(f *testing.F) {
	f.Add("2022-01-13T19:27:37.866831+00:00")
	rng := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		at := time.UnixMicro(rng.Int64N(4e15) - 2e15).In(time.FixedZone("", (rng.IntN(48)-24)*1800))
		f.Add(at.Format(time.RFC3339Nano))
	}
	f.Fuzz(func(t *testing.T, text string) {
		micros, exact, _, ok := parseTime([]byte(text))
		want, err := time.Parse(time.RFC3339Nano, text)
		if err != nil || !rfc3339.MatchString(text) {
			return // each accepts formats that the other refuses
		}
		if !ok {
			if s := want.Unix(); s < minSeconds || s > maxSeconds || want.Year() < 1 {
				return
			}
			t.Fatalf("%q is accepted as a time", text)
		}
		if got := time.UnixMicro(micros); !got.Equal(want.Truncate(time.Microsecond)) {
			t.Errorf("%q is %s, want %s", text, got.UTC(), want.UTC())
		}
		if exact && (!time.UnixMicro(micros).Equal(want) || want.Format("-07:00") != "+00:00") {
			t.Errorf("%q is not exactly %d microseconds", text, micros)
		}
	})
}

func TestDayOf(t *testing.T) {
	for micros, want := range map[int64]int32{0: 0, -1: -1, microsPerDay - 1: 0, microsPerDay: 1, -microsPerDay: -1, -microsPerDay - 1: -2} {
		if got := dayOf(micros); got != want {
			t.Errorf("the day of %d is %d, want %d", micros, got, want)
		}
	}
}

func TestDaysSince1970(t *testing.T) {
	for at := time.Unix(minSeconds, 0).UTC(); at.Unix() <= maxSeconds; at = at.Add(24 * time.Hour) {
		year, month, day := at.Date()
		if got, want := daysSince1970(year, int(month), day), int(dayOf(at.UnixMicro())); got != want {
			t.Fatalf("%s is day %d, want %d", at, got, want)
		}
	}
}

package sink

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"prospector/schemas"
	"prospector/sink/internal/rowtest"
)

var encodings = []struct{ value, encoded string }{
	{"SMS_MESSAGE", "SMS_MESSAGE"},
	{"a.b-c_d", "a.b-c_d"},
	{"", ""},
	{"_", "_"},
	{"x", "x"},
	{"two words", "two_x20_words"},
	{"a/b", "a_x2F_b"},
	{"a=b", "a_x3D_b"},
	{"50%", "50_x25_"},
	{"é", "_xC3__xA9_"},
	{"\x00\xff", "_x00__xFF_"},
	{"_x", "_x5F_x"},
	{"a_x20_b", "a_x5F_x20_b"},
	{"__x", "__x5F_x"},
	{"_x_x", "_x5F_x_x5F_x"},
	{"_ x", "__x20_x"},
	{"_x 20_", "_x5F_x_x20_20_"},
	{"SMS_xyz", "SMS_x5F_xyz"},
	{"SMS_XYZ", "SMS_XYZ"},
	{"..", ".."},
	{"__HIVE_DEFAULT_PARTITION__", "_x5F__x5F_HIVE_x5F_DEFAULT_x5F_PARTITION_x5F__x5F_"},
	{"__HIVE_DEFAULT_PARTITION__ ", "__HIVE_DEFAULT_PARTITION___x20_"},
}

func TestEncodeValue(t *testing.T) {
	for _, test := range encodings {
		if got := EncodeValue(test.value); got != test.encoded {
			t.Errorf("%q is encoded as %s, not %s", test.value, got, test.encoded)
		}
		if got, err := DecodeValue(test.encoded); err != nil || got != test.value {
			t.Errorf("%s is decoded as %q (%v), not %q", test.encoded, got, err, test.value)
		}
	}
}

// DecodeValue accepts only what EncodeValue returns, so that no two directories are
// the same partition.
func TestDecodeValueErrors(t *testing.T) {
	for _, encoded := range []string{
		"_x", "_x2", "_x20", "_x2_", "_xG0_", "_x20-", "a_x2", "_x+1_", "_x 1_",
		"_x2f_", "_x41_", "_x5F_", "a b", "a/b", "é", "\x00", "__HIVE_DEFAULT_PARTITION__", "_x5F_HIVE",
	} {
		if got, err := DecodeValue(encoded); err == nil {
			t.Errorf("%q is decoded as %q", encoded, got)
		}
	}
}

var onDisk = regexp.MustCompile(`^[A-Za-z0-9_.-]*$`)

func FuzzEncodeValue(f *testing.F) {
	for _, a := range encodings {
		for _, b := range encodings {
			f.Add(a.value, b.encoded)
		}
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		encoded := EncodeValue(a)
		if !onDisk.MatchString(encoded) || encoded == nullName {
			t.Fatalf("%q is encoded as %q", a, encoded)
		}
		if decoded, err := DecodeValue(encoded); err != nil || decoded != a {
			t.Fatalf("%q is encoded as %s and decoded as %q (%v)", a, encoded, decoded, err)
		}
		if a != b && encoded == EncodeValue(b) {
			t.Fatalf("%q and %q are both encoded as %s", a, b, encoded)
		}
		if decoded, err := DecodeValue(b); err == nil && EncodeValue(decoded) != b {
			t.Fatalf("%q is decoded as %q, which is encoded as %q", b, decoded, EncodeValue(decoded))
		}
	})
}

// The longest type fits in a directory name, which has at most 255 bytes on common file
// systems.
func TestMaxTypeLength(t *testing.T) {
	p := PartitionOf(schemas.KnockEvents(), strings.Repeat("\xff", schemas.MaxTypeLength), 0)
	if name, _, _ := strings.Cut(p.Path, "/"); len(name) > 255 {
		t.Errorf("%s has %d bytes", name, len(name))
	}
}

func day(t testing.TB, text string) int32 {
	t.Helper()
	at, err := time.Parse(time.DateOnly, text)
	if err != nil {
		t.Fatal(err)
	}
	return int32(at.Unix() / (24 * 60 * 60)) // exact: it is midnight
}

func TestPartitionOf(t *testing.T) {
	for _, test := range []struct{ keys, eventType, day, want string }{
		{"event_type event_date", "SMS_MESSAGE", "2022-01-13", "event_type=SMS_MESSAGE/event_date=2022-01-13"},
		{"event_date event_type", "an e-mail", "2022-01-13", "event_date=2022-01-13/event_type=an_x20_e-mail"},
		{"event_type", "SMS", "2022-01-13", "event_type=SMS"},
		{"event_date", "SMS", "1969-12-31", "event_date=1969-12-31"},
		{"event_month", "SMS", "2022-01-01", "event_month=2022-01-01"},
		{"event_month", "SMS", "2022-01-31", "event_month=2022-01-01"},
		{"event_month", "SMS", "2020-02-29", "event_month=2020-02-01"},
		{"event_month", "SMS", "1969-12-31", "event_month=1969-12-01"},
		{"event_month", "SMS", "1900-03-01", "event_month=1900-03-01"},
		{"event_year", "SMS", "2022-12-31", "event_year=2022-01-01"},
		{"event_year", "SMS", "1970-01-01", "event_year=1970-01-01"},
		{"event_year", "SMS", "1969-12-31", "event_year=1969-01-01"},
		{"event_year", "SMS", "0001-06-01", "event_year=0001-01-01"},
		{"event_year", "SMS", "9999-12-31", "event_year=9999-01-01"},
		{"event_year event_month event_date event_type", "T", "1968-02-29",
			"event_year=1968-01-01/event_month=1968-02-01/event_date=1968-02-29/event_type=T"},
	} {
		t.Run(test.want, func(t *testing.T) {
			table := rowtest.Partitioned(t, strings.Fields(test.keys)...)
			on := day(t, test.day)
			p := PartitionOf(table, test.eventType, on)
			if p.Path != test.want {
				t.Fatalf("the path is %s, want %s", p.Path, test.want)
			}
			back, err := ParsePartition(table, p.Path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(p, back); diff != "" {
				t.Errorf("the path is parsed as another partition (-want +got):\n%s", diff)
			}
			if !p.HoldsDay(on) || !back.HoldsDay(on) {
				t.Errorf("the partition does not hold %s", test.day)
			}
		})
	}
}

func TestParsePartitionErrors(t *testing.T) {
	for _, test := range []struct{ keys, path, want string }{
		{"event_type event_date", "", "must have 2 keys"},
		{"event_type event_date", "event_type=T", "must have 2 keys"},
		{"event_type event_date", "event_type=T/event_date=2022-01-13/x=1", "must have 2 keys"},
		{"event_type event_date", "/event_type=T/event_date=2022-01-13", "must have 2 keys"},
		{"event_type event_date", "event_date=2022-01-13/event_type=T", "segment 1 must be event_type="},
		{"event_type event_date", "event_type=T/2022-01-13", "segment 2 must be event_date="},
		{"event_type", "event_type", "segment 1"},
		{"event_type", "event_type=a b", "event_type: "},
		{"event_type", "event_type=_x41_", "event_type: "},
		{"event_type", "event_type=__HIVE_DEFAULT_PARTITION__", "event_type: "},
		{"event_date", "event_date=", "event_date: "},
		{"event_date", "event_date=2022-1-3", "event_date: "},
		{"event_date", "event_date=2022-02-30", "event_date: "},
		{"event_date", "event_date=__HIVE_DEFAULT_PARTITION__", "event_date: "},
		{"event_month", "event_month=2022-01-13", "event_month: "},
		{"event_year", "event_year=2022-02-01", "event_year: "},
	} {
		if p, err := ParsePartition(rowtest.Partitioned(t, strings.Fields(test.keys)...), test.path); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q is parsed as %+v, %v; want an error with %q", test.path, p, err, test.want)
		}
	}
}

func TestHoldsDay(t *testing.T) {
	for _, test := range []struct {
		path, day string
		want      bool
	}{
		{"event_type=T", "2022-01-13", true},
		{"event_date=2022-01-13", "2022-01-13", true},
		{"event_date=2022-01-13", "2022-01-14", false},
		{"event_month=2022-02-01", "2022-02-28", true},
		{"event_month=2022-02-01", "2022-03-01", false},
		{"event_month=2022-02-01", "2021-02-01", false},
		{"event_month=1969-12-01", "1969-12-31", true},
		{"event_month=1969-12-01", "1970-01-01", false},
		{"event_year=1969-01-01", "1969-12-31", true},
		{"event_year=1969-01-01", "1970-01-01", false},
		{"event_year=2022-01-01/event_date=2022-01-13", "2022-01-13", true},
		{"event_year=2022-01-01/event_date=2022-01-13", "2022-01-12", false},
	} {
		var keys []string
		for segment := range strings.SplitSeq(test.path, "/") {
			key, _, _ := strings.Cut(segment, "=")
			keys = append(keys, key)
		}
		p, err := ParsePartition(rowtest.Partitioned(t, keys...), test.path)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.HoldsDay(day(t, test.day)); got != test.want {
			t.Errorf("%s holds %s: %t", test.path, test.day, got)
		}
	}
}

func FuzzParsePartition(f *testing.F) {
	for _, seed := range []string{"event_type=SMS_MESSAGE/event_month=2022-01-01", "event_type=_xFF_/event_month=0001-01-01", "event_type=/event_month=9999-12-01"} {
		f.Add(seed)
	}
	table := rowtest.Partitioned(f, "event_type", "event_month")
	f.Fuzz(func(t *testing.T, path string) {
		p, err := ParsePartition(table, path)
		if err != nil {
			return
		}
		if again := PartitionOf(table, p.Keys[0].Text, p.Keys[1].Day); !cmp.Equal(again, p) {
			t.Errorf("%q is parsed as %+v, which has the path %q", path, p, again.Path)
		}
	})
}

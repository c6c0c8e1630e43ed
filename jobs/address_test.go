package jobs

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

func TestAddress(t *testing.T) {
	for _, test := range []struct {
		text    string
		address Address
	}{
		{`job.prospect_events`, Address{Name: "prospect_events"}},
		{`job.0-a_B`, Address{Name: "0-a_B"}},
		{`job.events["north"]`, Address{Name: "events", Key: "north"}},
		{`job.events.partition["event_type=SMS_MESSAGE/event_date=2022-01-13"]`,
			Address{Name: "events", Partition: "event_type=SMS_MESSAGE/event_date=2022-01-13"}},
		{`job.events["north"].partition["a=1"]`, Address{Name: "events", Key: "north", Partition: "a=1"}},
		{`job.partition.partition["a=1"]`, Address{Name: "partition", Partition: "a=1"}},
		{`job.a["\"\\\n\r\t\u0000\u2028\U000e0001é😀"]`, Address{Name: "a", Key: "\"\\\n\r\t\x00\u2028\U000e0001é😀"}},
		{`job.a["].partition[\"b\"]"]`, Address{Name: "a", Key: `].partition["b"]`}},
		{`job.a["$${b} %%{c} $$$${d} $e {f}"]`, Address{Name: "a", Key: `${b} %{c} $$${d} $e {f}`}},
	} {
		t.Run(test.text, func(t *testing.T) {
			if got, err := ParseAddress(test.text); err != nil || got != test.address {
				t.Errorf("ParseAddress returned %+v (%v), want %+v", got, err, test.address)
			}
			if got := test.address.String(); got != test.text {
				t.Errorf("String of %+v returned %s", test.address, got)
			}
		})
	}
}

func TestParseAddressRefuses(t *testing.T) {
	for _, test := range []struct{ text, says string }{
		{``, `does not begin with "job."`},
		{`prospect_events`, `does not begin with "job."`},
		{`sink.local.lake`, `does not begin with "job."`},
		{`job.`, "no name"},
		{`job.é`, "no name"},
		{`job.-a`, "no name"},
		{`job.a.b`, "unexpected"},
		{`job.a `, "unexpected"},
		{`job.a["b"]c`, "unexpected"},
		{`job.a["b"]["c"]`, "unexpected"},
		{`job.a.partition["b"].partition["c"]`, "unexpected"},
		{`job.a.partitions["b"]`, `["…"] is missing`},
		{`job.a.partition`, `["…"] is missing`},
		{`job.a[north]`, "a shell removes"},
		{`job.a[0]`, `["…"] is missing`},
		{`job.a[""]`, "empty"},
		{`job.a.partition[""]`, "empty"},
		{`job.a["b`, "is missing"},
		{`job.a["b"`, "no ]"},
		{`job.a["b"c"]`, `write \"`},
		{`job.a["\x"]`, "backslash"},
		{`job.a["\`, "backslash"},
		{`job.a["\u12"]`, "backslash"},
		{`job.a["\ud800"]`, "backslash"},
		{`job.a["\U00110000"]`, "backslash"},
		{"job.a[\"\xff\"]", "UTF-8"},
	} {
		a, err := ParseAddress(test.text)
		if err == nil {
			t.Errorf("ParseAddress(%s) returned %+v, want an error", test.text, a)
			continue
		}
		for _, says := range []string{test.says, "job.prospect_events"} {
			if !strings.Contains(err.Error(), says) {
				t.Errorf("%s: the error does not contain %q: %v", test.text, says, err)
			}
		}
	}
}

func TestAddressContains(t *testing.T) {
	addresses := []string{`job.a`, `job.a.partition["p"]`, `job.a["k"]`, `job.a["k"].partition["p"]`, `job.a["l"]`, `job.ab`}
	if !slices.IsSortedFunc(addresses, func(a, b string) int { return address(t, a).Compare(address(t, b)) }) {
		t.Error("Compare does not order the addresses")
	}
	for _, test := range []struct {
		of   string
		want []string
	}{
		{`job.a`, addresses[:5]},
		{`job.a["k"]`, addresses[2:4]},
		{`job.a["k"].partition["p"]`, addresses[3:4]},
		{`job.a.partition["p"]`, addresses[1:2]},
		{`job.ab`, addresses[5:]},
		{`job.b`, nil},
	} {
		var got []string
		for _, a := range addresses {
			if address(t, test.of).Contains(address(t, a)) {
				got = append(got, a)
			}
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s contains %q, want %q", test.of, got, test.want)
		}
	}
	a := address(t, addresses[3])
	if !a.IsPartition() || a.Job().IsPartition() || a.Job().WithPartition("p") != a {
		t.Errorf("%s differs after Job and WithPartition", a)
	}
}

func address(t *testing.T, text string) Address {
	t.Helper()
	a, err := ParseAddress(text)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func FuzzParseAddress(f *testing.F) {
	for _, text := range []string{`job.a`, `job.a["b"]`, `job.a["\u0000$${"].partition["\"$$${\\"]`, `job.a["${"]`, `job.a["$$"]`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := ParseAddress(text)
		if err != nil {
			return
		}
		if again, err := ParseAddress(a.String()); err != nil || again != a {
			t.Errorf("%q parses as %+v, but its string %s parses as %+v (%v)", text, a, a, again, err)
		}
	})
}

// An address with any key or partition survives a round trip, and HCL parses it
// to the same values.
func FuzzAddressString(f *testing.F) {
	f.Add("north", "event_type=SMS_MESSAGE/event_date=2022-01-13")
	f.Add("\x00\u2028\U0010ffff", "$${%%{$$${")
	f.Add(`"]\`, "\ufeff")
	f.Fuzz(func(t *testing.T, key, partition string) {
		if !utf8.ValidString(key) || !utf8.ValidString(partition) {
			return
		}
		a := Address{Name: "a", Key: key, Partition: partition}
		if got, err := ParseAddress(a.String()); err != nil || got != a {
			t.Errorf("the string of %+v is %s, which parses as %+v (%v)", a, a, got, err)
		}
		if key == "" || partition == "" {
			return
		}
		traversal, diags := hclsyntax.ParseTraversalAbs([]byte(a.String()), "", hcl.InitialPos)
		if diags.HasErrors() || len(traversal) != 5 {
			t.Fatalf("HCL cannot parse %s: %v", a, diags)
		}
		// HCL normalizes strings, so keys from a configuration are already
		// normalized.
		if got := traversal[2].(hcl.TraverseIndex).Key; got.AsString() != cty.StringVal(key).AsString() {
			t.Errorf("HCL parses the key of %s as %q", a, got.AsString())
		}
	})
}

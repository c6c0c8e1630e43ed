package transform

import (
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"prospector/internal/jsontext"
	"prospector/schemas"
)

var (
	number   = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$`)
	exponent = regexp.MustCompile(`[eE]([-+]?[0-9]+)$`)
)

// judge computes the result for a JSON value in a column of numbers, with the exact numbers
// of the standard library. ok is false if that would take too long.
func judge(to schemas.Type, value any) (want outcome, holds int64, ok bool) {
	text, isText := value.(string)
	if n, is := value.(json.Number); is {
		text = string(n)
	} else if !isText {
		return mismatch, 0, true
	}
	if !number.MatchString(text) {
		return mismatch, 0, true
	}
	if m := exponent.FindStringSubmatch(text); m != nil {
		if e, err := strconv.Atoi(m[1]); err != nil || e < -5000 || e > 5000 {
			return 0, 0, false
		}
	}
	exactly, ok := new(big.Rat).SetString(text)
	if !ok {
		return 0, 0, false
	}
	canonical := ""
	if to == schemas.Int64 {
		if !exactly.IsInt() || !exactly.Num().IsInt64() {
			return mismatch, 0, true
		}
		holds = exactly.Num().Int64()
		canonical = strconv.FormatInt(holds, 10)
	} else {
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return mismatch, 0, true
		}
		form, _ := json.Marshal(f)
		canonical, holds = string(form), int64(math.Float64bits(f))
		if shortest, ok := new(big.Rat).SetString(canonical); !ok || shortest.Cmp(exactly) != 0 {
			return mismatch, 0, true
		}
	}
	if isText || canonical != text {
		return kept, holds, true
	}
	return exact, holds, true
}

func FuzzCoerce(f *testing.F) {
	for _, r := range rules {
		for _, c := range r.cases {
			f.Add([]byte(c.json))
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var value any
		decoder := json.NewDecoder(strings.NewReader(string(text)))
		decoder.UseNumber()
		if !json.Valid(text) || decoder.Decode(&value) != nil {
			return
		}
		var d document
		v, err := d.parse(text, maxValues)
		switch {
		case errors.Is(err, errTooDeep), errors.Is(err, errTooMany), errors.Is(err, errNotUnicode):
			return
		case err != nil:
			t.Fatalf("%s: %v", text, err)
		}
		complete := exact
		if !jsontext.IsUnicode(text) {
			complete = repaired
		}
		for _, to := range schemas.Types() {
			var c cell
			var scratch []byte
			got, err := c.coerce(to, v, &scratch)
			if errors.Is(err, errDuplicateKey) {
				return
			}
			if err != nil {
				t.Fatalf("%s to %s: %v", text, to, err)
			}
			switch s, isText := value.(string); {
			case value == nil, isText && s == "" && !to.IsText():
				if got != none {
					t.Errorf("%s to %s: the outcome is %d", text, to, got)
				}
			case to == schemas.Int64 || to == schemas.Float64:
				if want, holds, ok := judge(to, value); ok && (got != want || want >= kept && c.int != holds) {
					t.Errorf("%s to %s: %d, %d; want %d, %d", text, to, got, c.int, want, holds)
				}
			case to == schemas.String && isText:
				if got != complete || !equalJSON(string(c.str), s) {
					t.Errorf("%s to %s: %d, %q", text, to, got, c.str)
				}
			case to == schemas.JSON:
				var decoded any
				d := json.NewDecoder(strings.NewReader(string(c.str)))
				d.UseNumber()
				if err := d.Decode(&decoded); err != nil || got != complete || !equalJSON(decoded, value) {
					t.Errorf("%s to %s: %d, %s", text, to, got, c.str)
				}
			}
		}
	})
}

// equalJSON compares values. Consecutive U+FFFD count as one, because the standard library
// writes one for each byte or each escape.
func equalJSON(a, b any) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return replacements.ReplaceAllString(string(x), "?") == replacements.ReplaceAllString(string(y), "?")
}

var replacements = regexp.MustCompile(`(\x{FFFD}|\\ufffd)+`)

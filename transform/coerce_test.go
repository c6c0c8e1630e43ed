package transform

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"prospector/schemas"
)

// rule is one rule of coercion: a row of the table in docs/schemas.md.
type rule struct {
	column  string // the type of the column
	value   string // describes the value in the event
	outcome outcome
	holds   string // describes the value of the column
	cases   []coercion
}

// coercion is a JSON value, and the value of the column.
type coercion struct{ json, want string }

var rules = []rule{
	{"any", "`null`", none, "NULL", []coercion{{`null`, ""}}},
	{"any but string, json", "an empty text", none, "NULL", []coercion{{`""`, ""}}},

	{"string", "a text", exact, "the text", []coercion{{`""`, ""}, {`"a\u00e9\n"`, "aé\n"}, {`" 1"`, " 1"}}},
	{"string", "a text that is not Unicode: half of a surrogate pair, invalid UTF-8", repaired, "the text, with U+FFFD where it is invalid",
		[]coercion{{`"a\ud83d"`, "a\uFFFD"}, {`"\ude00\n\u00e9"`, "\uFFFD\né"}, {"\"a\xffb\"", "a\uFFFDb"}}},
	{"string", "a number, `true` or `false`", kept, "its original text",
		[]coercion{{`1.0`, "1.0"}, {`1e400`, "1e400"}, {`-0`, "-0"}, {`true`, "true"}, {`false`, "false"}}},
	{"string", "an object or an array", mismatch, "NULL", []coercion{{`{}`, ""}, {`[]`, ""}, {`["a"]`, ""}}},

	{"int64", "an integer of 64 bits", exact, "the integer",
		[]coercion{{`0`, "0"}, {`-7`, "-7"}, {`9223372036854775807`, "9223372036854775807"}, {`-9223372036854775808`, "-9223372036854775808"}}},
	{"int64", "an integer in another form: `1.0`, `1e3`, `-0`, `\"5\"`", kept, "the integer",
		[]coercion{{`1.0`, "1"}, {`1e3`, "1000"}, {`-0`, "0"}, {`0e999999999999`, "0"}, {`"5"`, "5"}, {`"1e3"`, "1000"}, {`"-1.50e1"`, "-15"},
			{`9223372036854775807.0`, "9223372036854775807"}, {`-92233720368547758080e-1`, "-9223372036854775808"},
			{`1` + strings.Repeat("0", 400) + `e-400`, "1"}, {`0.` + strings.Repeat("0", 400) + `1e401`, "1"}}},
	{"int64", "any other: `1.5`, 2⁶³, `\" 5\"`, `\"02139\"`, `true`, …", mismatch, "NULL",
		[]coercion{{`1.5`, ""}, {`9223372036854775808`, ""}, {`-9223372036854775809`, ""}, {`1e999999999`, ""}, {`1e-999999999`, ""}, {`99999999999999999999`, ""},
			{`" 5"`, ""}, {`"+5"`, ""}, {`"02139"`, ""}, {`"5 "`, ""}, {`"0x5"`, ""}, {`"1."`, ""}, {`".5"`, ""}, {`"1e"`, ""}, {`"-"`, ""}, {`"five"`, ""},
			{`true`, ""}, {`[]`, ""}, {`{}`, ""}}},

	{"float64", "a number in its shortest form", exact, "the number",
		[]coercion{{`0`, "0"}, {`-0`, "-0"}, {`1`, "1"}, {`0.1`, "0.1"}, {`-2.5`, "-2.5"}, {`1e-7`, "1e-7"}, {`0.000001`, "0.000001"}, {`1e+21`, "1e+21"},
			{`100000000000000000000`, "100000000000000000000"}, {`5e-324`, "5e-324"}, {`1.7976931348623157e+308`, "1.7976931348623157e+308"}, {`9007199254740992`, "9007199254740992"}}},
	{"float64", "the same number in another form: `1.0`, `1e3`, `\"0.5\"`", kept, "the number",
		[]coercion{{`1.0`, "1"}, {`1e3`, "1000"}, {`0.10`, "0.1"}, {`-0.0`, "-0"}, {`1E-7`, "1e-7"}, {`1e21`, "1e+21"}, {`0e-999999999999`, "0"}, {`"0.5"`, "0.5"}, {`"1e3"`, "1000"}, {`"7"`, "7"}}},
	{"float64", "a number that is not a double: `9007199254740993`, `1e400`, …", mismatch, "NULL",
		[]coercion{{`9007199254740993`, ""}, {`1e400`, ""}, {`-1e400`, ""}, {`1e-400`, ""}, {`1e999999999`, ""}, {`1e-999999999`, ""},
			{`0.1000000000000000055511151231257827`, ""}, {`"9007199254740993"`, ""}, {`1` + strings.Repeat("0", 400) + `1e-400`, ""}}},
	{"float64", "any other: `\"NaN\"`, `\" 1\"`, `true`, …", mismatch, "NULL",
		[]coercion{{`"NaN"`, ""}, {`"Infinity"`, ""}, {`"-inf"`, ""}, {`" 1"`, ""}, {`"+1"`, ""}, {`"1_0"`, ""}, {`"0x1p3"`, ""}, {`true`, ""}, {`[1]`, ""}, {`{}`, ""}}},

	{"bool", "`true` or `false`", exact, "the same", []coercion{{`true`, "true"}, {`false`, "false"}}},
	{"bool", "`\"true\"` or `\"false\"`", kept, "the same", []coercion{{`"true"`, "true"}, {`"false"`, "false"}}},
	{"bool", "any other: `0`, `1`, `\"True\"`, …", mismatch, "NULL",
		[]coercion{{`0`, ""}, {`1`, ""}, {`"True"`, ""}, {`"yes"`, ""}, {`[true]`, ""}, {`{}`, ""}}},

	{"timestamp", "a UTC time, to the microsecond", exact, "the instant",
		[]coercion{{`"2022-01-13T19:27:37.866831+00:00"`, "2022-01-13T19:27:37.866831Z"}, {`"2022-01-13 19:27:37Z"`, "2022-01-13T19:27:37Z"}}},
	{"timestamp", "a time with more digits, another offset, or none", kept, "the instant, cut to microseconds",
		[]coercion{{`"2022-01-13T21:27:37+02:00"`, "2022-01-13T19:27:37Z"}, {`"2022-01-13T19:27:37.1234567Z"`, "2022-01-13T19:27:37.123456Z"}, {`"2022-01-13T19:27:37"`, "2022-01-13T19:27:37Z"}}},
	{"timestamp", "any other: a number, since its unit would be a guess; a date without a time; …", mismatch, "NULL",
		[]coercion{{`1642102057`, ""}, {`"1642102057"`, ""}, {`"2022-01-13"`, ""}, {`"2022-02-30T00:00:00Z"`, ""}, {`"yesterday"`, ""}, {`true`, ""}, {`{}`, ""}, {`[]`, ""}}},

	{"date", "a date: `\"2022-01-13\"`", exact, "the date",
		[]coercion{{`"2022-01-13"`, "2022-01-13"}, {`"0001-01-01"`, "0001-01-01"}, {`"9999-12-31"`, "9999-12-31"}, {`"2024-02-29"`, "2024-02-29"}}},
	{"date", "any other: a time, `\"13.01.2022\"`, `20220113`, …", mismatch, "NULL",
		[]coercion{{`"2022-01-13T00:00:00Z"`, ""}, {`"13.01.2022"`, ""}, {`20220113`, ""}, {`"20220113"`, ""}, {`"2022-02-29"`, ""}, {`"0000-01-01"`, ""}, {`"2022-1-13"`, ""},
			{`"2022-01-13 "`, ""}, {`true`, ""}, {`{}`, ""}, {`[]`, ""}}},

	{"json", "any but `null`, including objects and arrays", exact, "its JSON text, compact and with sorted keys",
		[]coercion{{`{ "b": [1.0, null], "a": "\u00e9" }`, `{"a":"é","b":[1.0,null]}`}, {`[]`, `[]`}, {`{}`, `{}`}, {`""`, `""`}, {`"a"`, `"a"`}, {`1e400`, `1e400`}, {`true`, `true`}}},
	{"json", "a value with a text that is not Unicode", repaired, "the same, with U+FFFD where the text is invalid",
		[]coercion{{`"\ud83d"`, `"�"`}, {`{"b":["\ud83d"],"a":{"$bytes":"7aC9"}}`, `{"a":{"$bytes":"7aC9"},"b":["�"]}`}}},
}

func parsed(t *testing.T, text string) value {
	t.Helper()
	var d document
	v, err := d.parse([]byte(text), maxValues)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestCoerce(t *testing.T) {
	for _, rule := range rules {
		for _, to := range schemas.Types() {
			switch rule.column {
			case "any", string(to):
			case "any but string, json":
				if to.IsText() {
					continue
				}
			default:
				continue
			}
			for _, test := range rule.cases {
				t.Run(fmt.Sprintf("%s/%.40s", to, test.json), func(t *testing.T) {
					var c cell
					var scratch []byte
					got, err := c.coerce(to, parsed(t, test.json), &scratch)
					if err != nil || got != rule.outcome {
						t.Fatalf("the outcome is %d, %v; want %d", got, err, rule.outcome)
					}
					if got == repaired || got == kept || got == exact {
						if shown := c.show(to); shown != test.want {
							t.Errorf("the column has %s, want %s", shown, test.want)
						}
					}
				})
			}
		}
	}
}

// show returns the value as a reader sees it, with the standard library.
func (c *cell) show(t schemas.Type) string {
	switch t {
	case schemas.Int64:
		return fmt.Sprint(c.int)
	case schemas.Float64:
		text, _ := json.Marshal(math.Float64frombits(uint64(c.int)))
		return string(text)
	case schemas.Bool:
		return strconv.FormatBool(c.int != 0)
	case schemas.Timestamp:
		return time.UnixMicro(c.int).UTC().Format(time.RFC3339Nano)
	case schemas.Date:
		return time.Unix(c.int*24*60*60, 0).UTC().Format(time.DateOnly)
	}
	return string(c.str)
}

// docs/schemas.md lists every rule in the words of this test.
func TestDocsListCoercionRules(t *testing.T) {
	page, err := os.ReadFile("../docs/schemas.md")
	if err != nil {
		t.Fatal(err)
	}
	var rows strings.Builder
	for _, r := range rules {
		extra := map[outcome]string{exact: "", kept: "the original", none: "the original", mismatch: "the original; counted", repaired: "the original; counted"}[r.outcome]
		fmt.Fprintf(&rows, "| %s | %s | %s | %s |\n", r.column, r.value, r.holds, extra)
	}
	if !strings.Contains(string(page), rows.String()) {
		t.Errorf("docs/schemas.md does not have these rows in this order:\n%s", rows.String())
	}
}

package planfile

import (
	"archive/zip"
	"bytes"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"

	"prospector/jobs"
)

// testdata/plan_v2.json is the plan.json of a saved plan in which every member
// has a value. The first version of prospector with format 2 wrote it.
const goldenPlan = "testdata/plan_v2.json"

// goldenText is the content of every staged file in the golden plan.
const goldenText = "abc"

// savedGolden returns the golden plan as a saved plan.
func savedGolden(t *testing.T) (text, archive []byte) {
	t.Helper()
	text, err := os.ReadFile(goldenPlan)
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.Replace(text, []byte(`"prospector_version":"0.1.0"`), []byte(`"prospector_version":"`+jobs.Version+`"`), 1)
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	add := func(name, content string) {
		entry, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		if err == nil {
			_, err = io.WriteString(entry, content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range strings.Count(string(text), `"staged/`) {
		add("staged/0000"+string(rune('0'+i)), goldenText)
	}
	add("plan.json", string(text))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return text, out.Bytes()
}

// A plan of format 2 can be loaded, and saving it again writes the same bytes.
func TestFormatIsStable(t *testing.T) {
	text, archive := savedGolden(t)
	f, err := decode(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	err = encode(&out, f.plan, func(string) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(goldenText)), nil })
	if err != nil {
		t.Fatal(err)
	}
	again, err := zip.NewReader(bytes.NewReader(out.Bytes()), int64(out.Len()))
	if err != nil {
		t.Fatal(err)
	}
	entry, err := again.Open("plan.json")
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(entry)
	if err != nil || !bytes.Equal(got, text) {
		t.Errorf("the plan is saved as\n%s\nwant\n%s\nerror: %v", got, text, err)
	}
}

// Every field of a loaded plan has the value of its JSON member.
func TestFormatFields(t *testing.T) {
	_, archive := savedGolden(t)
	f, err := decode(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		t.Fatal(err)
	}
	p := *f.plan
	j := p.Jobs[0]
	for _, test := range []struct {
		name string
		got  any
		want string
	}{
		{"lineage", p.Lineage, "Lineage"},
		{"config", p.Config, "Config"},
		{"targets", p.Targets[0], "Targets"},
		{"replace", p.Replace[0], "Replace"},
		{"forgotten", p.Forgotten[0], "Forgotten"},
		{"address", j.Address, "Address"},
		{"table", j.TableName, "Table"},
		{"schema", j.SchemaFingerprint, "Schema"},
		{"why", j.DestroyReason, "Why"},
		{"left", j.Found.AbandonedURIs[0], "Left"},
	} {
		if test.got != test.want {
			t.Errorf("%s is %v", test.name, test.got)
		}
	}
	if j.Output.Obsolete[0].Generation != "Generation" || j.Output.Foreign[0].Generation != "Foreign" || j.Output.Quarantine.Before == j.Output.Quarantine.After {
		t.Errorf("the writes are %v, %v and %v", j.Output.Obsolete, j.Output.Foreign, j.Output.Quarantine)
	}
	p.Prospect = "1" // this field is never saved
	allSet(t, reflect.ValueOf(p), "plan")
}

// allSet reports an error for every field that is zero.
func allSet(t *testing.T, v reflect.Value, path string) {
	t.Helper()
	if v.IsZero() {
		t.Errorf("%s is not set", path)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		allSet(t, v.Elem(), path)
	case reflect.Slice:
		allSet(t, v.Index(0), path)
	case reflect.Map:
		for _, key := range v.MapKeys() {
			allSet(t, v.MapIndex(key), path)
		}
	case reflect.Struct:
		if !strings.HasPrefix(v.Type().PkgPath(), "prospector/jobs") {
			return // a time, a table or a survey
		}
		for i := range v.NumField() {
			allSet(t, v.Field(i), path+"."+v.Type().Field(i).Name)
		}
	}
}

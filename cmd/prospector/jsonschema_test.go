package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// checkSchema is the script command
//
//	[!] jsonschema SCHEMA FILE
//
// which validates a file, or stdout, against a JSON Schema in the directory $SCHEMAS.
// If the schema's name begins with "stream", each line of the text must satisfy it.
// Otherwise the complete text must. With !, the text must not satisfy the
// schema. The schema itself must be valid in any case.
func checkSchema(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: jsonschema SCHEMA FILE")
	}
	name, file := args[0], args[1]
	schema, err := compile(ts.Getenv("SCHEMAS"), name)
	ts.Check(err)
	text := ts.ReadFile(file)
	if strings.HasPrefix(name, "stream") {
		err = satisfyLines(schema, text)
	} else {
		err = satisfy(schema, text)
	}
	switch {
	case err != nil && !neg:
		ts.Fatalf("%s does not satisfy %s: %v", file, name, err)
	case err == nil && neg:
		ts.Fatalf("%s satisfies %s", file, name)
	}
}

// compile reads the schema in a file. It may refer to other schemas in the directory, by
// their names or by their $ids.
func compile(dir, name string) (*jsonschema.Schema, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	wanted := ""
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			return nil, fmt.Errorf("%s is not JSON: %w", file, err)
		}
		id := "file://" + file
		if object, ok := document.(map[string]any); ok {
			if named, ok := object["$id"].(string); ok {
				id = named
			}
		}
		if err := c.AddResource(id, document); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if filepath.Base(file) == name {
			wanted = id
		}
	}
	if wanted == "" {
		return nil, fmt.Errorf("there is no schema %s in %s", name, dir)
	}
	return c.Compile(wanted)
}

// satisfyLines requires at least one line, and an object that satisfies the schema on
// each line.
func satisfyLines(schema *jsonschema.Schema, text string) error {
	if text == "" {
		return errors.New("there is no line")
	}
	if !strings.HasSuffix(text, "\n") {
		return errors.New("the last line does not end")
	}
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		err := satisfy(schema, line)
		if err == nil && !strings.HasPrefix(line, "{") {
			err = errors.New("it is not an object")
		}
		if err != nil {
			return fmt.Errorf("line %d: %w\n%s", i+1, err, line)
		}
	}
	return nil
}

func satisfy(schema *jsonschema.Schema, text string) error {
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return fmt.Errorf("it is not JSON: %w", err)
	}
	return schema.Validate(value)
}

// Scripts rely on the command to find differences.
func TestSatisfy(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"stream.json": `{"type": "object", "properties": {"at": {"$ref": "time.json"}}, "required": ["at"], "additionalProperties": false}`,
		"time.json":   `{"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "string", "format": "date-time"}`,
		"named.json":  `{"$id": "https://prospector.example/formats/named.json", "prefixItems": [{"type": "integer"}], "items": {"$ref": "other"}}`,
		"other.json":  `{"$id": "https://prospector.example/formats/other", "type": "boolean"}`,
		"broken.json": `{"type": "text"}`,
		"lost.json":   `{"$ref": "nowhere.json"}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		name, schema, text string
		lines              bool
		want               string // in the error; "" for none
	}{
		{"a document", "stream.json", "{\"at\":\n\"2022-01-13T19:27:37Z\"}\n", false, ""},
		{"a document and more", "stream.json", `{"at":"2022-01-13T19:27:37Z"} {}`, false, "it is not JSON"},
		{"no JSON", "stream.json", "Plan: 3 to add", false, "it is not JSON"},
		{"a format", "stream.json", `{"at":"yesterday"}`, false, "'/at': 'yesterday' is not valid date-time"},
		{"neighbours by $id", "named.json", `[1, true]`, false, ""},
		{"neighbours by $id, unlike them", "named.json", `[1, 2]`, false, "'/1': got number, want boolean"},
		{"lines", "stream.json", "{\"at\":\"2022-01-13T19:27:37Z\"}\n{\"at\":\"2022-01-14T19:27:37Z\"}\n", true, ""},
		{"the second line", "stream.json", "{\"at\":\"2022-01-13T19:27:37Z\"}\n{\"at\":\"2022-01-14T19:27:37Z\",\"x\":1}\n", true, "line 2: "},
		{"an empty line", "stream.json", "{\"at\":\"2022-01-13T19:27:37Z\"}\n\n", true, "line 2: it is not JSON"},
		{"no line", "stream.json", "", true, "no line"},
		{"half a line", "stream.json", `{"at":"2022-01-13T19:27:37Z"}`, true, "does not end"},
		{"lines that are no objects", "time.json", "\"2022-01-13T19:27:37Z\"\n", true, "line 1: it is not an object"},
		{"no schema", "broken.json", "1", false, "broken.json"},
		{"a schema of more files than there are", "lost.json", "1", false, "nowhere.json"},
		{"no such schema", "nowhere.json", "1", false, "no schema nowhere.json"},
	} {
		t.Run(test.name, func(t *testing.T) {
			schema, err := compile(dir, test.schema)
			if err == nil && test.lines {
				err = satisfyLines(schema, test.text)
			} else if err == nil {
				err = satisfy(schema, test.text)
			}
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

package state_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"prospector/internal/sealed"
	"prospector/jobs/state"
	"prospector/jobs/tombstone"
	"prospector/schemas"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// same treats empty maps and slices as equal to nil.
var same = cmpopts.EquateEmpty()

// inFiles is the path of a partition with several files.
const inFiles = "event_type=SMS_MESSAGE/event_date=2022-01-15"

// full returns a state that has every field of the format.
func full() *state.State {
	s := &state.State{Serial: 7, Lineage: "0b5c9b4e-6d6c-4a52-9d61-3a5a7d6c1f00", Jobs: make(map[string]*state.Job)}
	s.Erasing = true
	s.Tombstones = tombstone.Set{{Lineage: s.Lineage, Key: bytes.Repeat([]byte{7}, 32), Hashes: []string{strings.Repeat("0a", 32), strings.Repeat("5c", 32)}}}
	job := s.Job("job.prospect_events")
	job.TableName = "events_of_prospects"
	job.Prospects = &state.ProspectList{Count: 500, Digest: "0000000000000006fffffffffffffff9", Key: "prospector.state.json.d/prospects/6.txt"}
	job.Empty = &state.ProspectList{Count: 3, Digest: "0000000000000003fffffffffffffffc", Key: "prospector.state.json.d/empty/3.jsonl"}
	job.Unavailable = &state.Unavailable{NotFound: 4, Forbidden: 1}
	job.SchemaFingerprint = schemas.KnockEvents().Fingerprint()
	former := table("data.sentiment")
	job.Schemas = map[string]schemas.Table{job.SchemaFingerprint: schemas.KnockEvents(), former.Fingerprint(): former}
	survey := schemas.NewSurvey()
	survey.EventTypes["SMS_MESSAGE"] = 80
	survey.Unmapped[schemas.Field{EventType: "SMS_MESSAGE", Path: "data.segments", Kind: schemas.KindInteger}] = 71
	job.Survey = &survey
	lake := job.Sink("sink.local.lake")
	lake.URI = "file:///lake/prospect_events"
	lake.Partitions["event_type=SMS_MESSAGE/event_date=2022-01-13"] = partition(71, 1)
	lake.Partitions["event_type=SMS_MESSAGE/event_date=2022-01-14"] = partition(8, 2)
	older := lake.Partitions["event_type=SMS_MESSAGE/event_date=2022-01-14"]
	older.SchemaFingerprint = former.Fingerprint()
	lake.Partitions["event_type=SMS_MESSAGE/event_date=2022-01-14"] = older
	many := partition(10, 6)
	many.Files = []state.File{
		{Rows: 6, Content: schemas.Digest{Hi: 2, Lo: 3}, Object: object(7)},
		{Rows: 4, Content: schemas.Digest{Hi: 3, Lo: ^uint64(9)}, Object: object(8)},
	}
	many.Days = &state.Days{First: 19006, Last: 19007}
	lake.Partitions[inFiles] = many
	lake.Obsolete = map[string]state.Object{object(9).Key: object(9)}
	lake.Quarantine = quarantine(3, 3)
	lake.Pending = &state.Pending{
		Partitions: map[string]state.Partition{
			"event_type=SMS_MESSAGE/event_date=2022-01-13": partition(72, 4),
			"event_type=SMS_MESSAGE/event_date=2022-01-14": {SchemaFingerprint: job.SchemaFingerprint, Files: []state.File{{Object: state.Object{Key: "prospect_events/2.parquet"}}}},
		},
		Quarantine: quarantine(4, 5),
	}
	job.Sink("sink.gcs.lake").URI = "gs://acme/prospect_events"
	s.Job("job.empty")
	return s
}

// table returns a schema that has a column from the path.
func table(path string) schemas.Table {
	t, err := schemas.KnockEvents().Declare(schemas.Column{Name: "added", Type: schemas.String, From: []string{path}})
	if err != nil {
		panic(err)
	}
	return t
}

func partition(rows int64, seed uint64) state.Partition {
	content := schemas.Digest{Hi: seed, Lo: ^seed}
	return state.Partition{
		SchemaFingerprint: schemas.KnockEvents().Fingerprint(), Rows: rows, Content: content,
		Files: []state.File{{Rows: rows, Content: content, Object: object(seed)}},
	}
}

func quarantine(events int64, seed uint64) *state.Quarantine {
	return &state.Quarantine{Events: events, Content: schemas.Digest{Hi: seed, Lo: ^seed}, Object: object(seed)}
}

func object(seed uint64) state.Object {
	return state.Object{
		Key: fmt.Sprintf("prospect_events/%d.parquet", seed), Size: int64(1000 + seed), CRC32C: uint32(0xfffffff0 + seed),
		Generation: fmt.Sprintf("g-%d", seed),
	}
}

// fullV4 returns the state of a file of format 4 that has every field.
func fullV4() *state.State {
	s := full()
	s.Tombstones = nil
	job := s.Job("job.prospect_events")
	job.Empty, job.Unavailable = nil, nil
	return s
}

// fullV3 returns the state of a file of format 3 that has every field. Each
// partition has one file.
func fullV3() *state.State {
	s := fullV4()
	lake := s.Job("job.prospect_events").Sink("sink.local.lake")
	delete(lake.Partitions, inFiles)
	lake.Obsolete = nil
	return s
}

// fullV2 returns the state of a file of format 2 that has every field. Its
// schemas are the built-in ones.
func fullV2() *state.State {
	s := fullV3()
	s.Erasing = false
	job := s.Job("job.prospect_events")
	job.Schemas, job.Survey = map[string]schemas.Table{job.SchemaFingerprint: schemas.KnockEvents()}, nil
	for path, p := range job.Sink("sink.local.lake").Partitions {
		p.SchemaFingerprint = job.SchemaFingerprint
		job.Sink("sink.local.lake").Partitions[path] = p
	}
	return s
}

// fullV1 returns the state of a file of format 1 that has every field.
func fullV1() *state.State {
	s := fullV2()
	s.Job("job.prospect_events").TableName = "prospect_events"
	s.Job("job.prospect_events").Prospects = nil
	s.Job("job.empty").TableName = "empty"
	return s
}

func golden(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Existing states must remain readable, so a format never changes, and -update
// does not rewrite the files of older formats.
func TestOlderFormats(t *testing.T) {
	for name, want := range map[string]*state.State{"v1.json": fullV1(), "v2.json": fullV2(), "v3.json": fullV3(), "v4.json": fullV4()} {
		t.Run(name, func(t *testing.T) {
			read, err := state.Decode([]byte(golden(t, name)))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, read, same); diff != "" {
				t.Errorf("the decoded state differs (-want +got):\n%s", diff)
			}
			again, err := state.Decode([]byte(encode(t, read)))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(read, again, same); diff != "" {
				t.Errorf("the upgraded state differs after it is written and read again (-want +got):\n%s", diff)
			}
		})
	}
}

// A state of format 2 whose schema is not a built-in one can be read. The columns of its
// files are unknown.
func TestUpgradeOfAnUnknownTable(t *testing.T) {
	text := strings.ReplaceAll(golden(t, "v2.json"), schemas.KnockEvents().Fingerprint(), strings.Repeat("0", 32))
	s, err := state.Decode([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if job := s.Job("job.prospect_events"); len(job.Schemas) > 0 {
		t.Errorf("the unknown schema was resolved to %v", job.Schemas)
	}
}

// A file with a field of another format is refused.
func TestFormatsAreNotMixed(t *testing.T) {
	for newer := 2; newer <= state.Version; newer++ {
		text := strings.Replace(golden(t, fmt.Sprintf("v%d.json", newer)), fmt.Sprintf(`"version": %d`, newer), fmt.Sprintf(`"version": %d`, newer-1), 1)
		if _, err := state.Decode([]byte(text)); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("format %d", newer-1)) {
			t.Errorf("format %d with the version %d returned %v", newer, newer-1, err)
		}
	}
}

func TestFormat5(t *testing.T) {
	got := encode(t, full())
	if *update {
		if err := os.WriteFile(filepath.Join("testdata", "v5.json"), []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want := golden(t, "v5.json")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the file differs from v5.json (-want +got):\n%s", diff)
	}
	read, err := state.Decode([]byte(want))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(full(), read, same); diff != "" {
		t.Errorf("the state of v5.json differs (-want +got):\n%s", diff)
	}
}

// file returns a file of the current format with the given jobs. fileV1 returns
// a file of format 1.
func file(jobs string) string {
	b, err := sealed.Marshal(struct {
		Version  int             `json:"version"`
		Serial   int             `json:"serial"`
		Lineage  string          `json:"lineage"`
		Checksum string          `json:"checksum"`
		Jobs     json.RawMessage `json:"jobs"`
	}{Version: state.Version, Serial: 1, Lineage: "x", Jobs: json.RawMessage(jobs)})
	if err != nil {
		panic(err)
	}
	return string(b)
}

func fileV1(jobs string) string { return `{"version":1,"serial":1,"lineage":"x","jobs":` + jobs + `}` }

func TestDecodeRefuses(t *testing.T) {
	for _, test := range []struct{ name, file, contains string }{
		{"nothing", ``, "not JSON"},
		{"not JSON", `version = 1`, "not JSON"},
		{"truncated", file(`{}`)[:30], "not JSON"},
		{"trailing text", file(`{}`) + `{}`, "not JSON"},
		{"zeros, which a power failure may leave", strings.Repeat("\x00", 100), "not JSON"},
		{"null", `null`, "format 0"},
		{"no version", `{"serial":1,"lineage":"x","jobs":{}}`, "format 0"},
		{"version 0", `{"version":0,"serial":1,"lineage":"x","jobs":{}}`, "format 0"},
		{"version -1", `{"version":-1,"serial":1,"lineage":"x","jobs":{}}`, "format -1"},
		{"no lineage", `{"version":1,"serial":1,"jobs":{}}`, "no lineage"},
		{"no serial", `{"version":1,"lineage":"x","jobs":{}}`, "no lineage or serial"},
		{"negative serial", `{"version":1,"serial":-1,"lineage":"x","jobs":{}}`, "no lineage or serial"},
		{"unknown field", `{"version":1,"serial":1,"lineage":"x","jobs":{},"checkpoints":{}}`, `"checkpoints"`},
		{"unknown field, deep", file(`{"j":{"sinks":{"s":{"partitions":{"p":{"row":1}}}}}}`), `"row"`},
		{"unknown field of format 1", fileV1(`{"job.a":{"table":"a","sinks":{}}}`), `"table"`},
		{"jobs of another type", file(`[]`), "format 5"},
		{"jobs of another type in format 1", fileV1(`[]`), "format 1"},
		{"not a digest", file(`{"j":{"sinks":{"s":{"partitions":{"p":{"content":"12"}}}}}}`), "32 hexadecimal digits"},
		{"tombstones without a key", strings.Replace(file(`{}`), `"jobs"`, `"tombstones":[{"lineage":"x"}],"jobs"`, 1), "key of tombstones"},
		{"rows that are not an integer", file(`{"j":{"sinks":{"s":{"partitions":{"p":{"rows":1.5}}}}}}`), "format 5"},
		{"checksum out of range", file(`{"j":{"sinks":{"s":{"partitions":{"p":{"files":[{"crc32c":4294967296}]}}}}}}`), "format 5"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, err := state.Decode([]byte(test.file))
			if err == nil || !strings.Contains(err.Error(), test.contains) {
				t.Errorf("Decode returned %+v and %v, want an error that contains %q", s, err, test.contains)
			}
			if errors.Is(err, state.ErrNewer) {
				t.Errorf("the error wrongly reports a newer format: %v", err)
			}
		})
	}
}

// A file that has changed since prospector wrote it is refused, unless the user
// pushes it after an edit.
func TestChecksum(t *testing.T) {
	intact := encode(t, full())
	for _, test := range []struct{ name, file string }{
		{"a different number of rows", strings.Replace(intact, `"rows": 71`, `"rows": 72`, 1)},
		{"a removed partition", strings.Replace(intact, "2022-01-15", "2022-01-16", 1)},
		{"no checksum", regexp.MustCompile(`\n  "checksum": "[^"]*",`).ReplaceAllString(intact, "")},
		{"an empty checksum", regexp.MustCompile(`"checksum": "[^"]*"`).ReplaceAllString(intact, `"checksum": ""`)},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.file == intact {
				t.Fatal("the test case changes nothing")
			}
			if _, err := state.Decode([]byte(test.file)); !errors.Is(err, state.ErrDamaged) {
				t.Errorf("Decode returned %v", err)
			}
			s, changed, err := state.DecodeEdited([]byte(test.file))
			if err != nil || changed == nil {
				t.Fatalf("DecodeEdited returned %v and %v", changed, err)
			}
			if _, err := state.Decode([]byte(encode(t, s))); err != nil {
				t.Errorf("after it is written again, Decode returned %v", err)
			}
		})
	}
	for _, name := range []string{"v1.json", "v2.json", "v3.json", "v4.json", "v5.json"} {
		if _, changed, err := state.DecodeEdited([]byte(golden(t, name))); err != nil || changed != nil {
			t.Errorf("%s: DecodeEdited returned %v and %v", name, changed, err)
		}
	}
	if _, err := state.Decode([]byte(strings.ReplaceAll(intact, "\n", "\r\n"))); err != nil {
		t.Errorf("with other white space: %v", err)
	}
}

// If any byte of a file is damaged, or the file is truncated anywhere, Decode
// refuses it or returns the same state.
func TestDamagedBytes(t *testing.T) {
	intact := []byte(encode(t, full()))
	rng := rand.New(rand.NewPCG(11, 3))
	check := func(what string, damaged []byte) {
		s, err := state.Decode(damaged)
		if err == nil && !cmp.Equal(full(), s, same) {
			t.Errorf("%s: Decode returned a different state", what)
		}
	}
	for i := 0; i < len(intact); i += 1 + rng.IntN(32) {
		damaged := bytes.Clone(intact)
		damaged[i] ^= byte(1 + rng.IntN(255))
		check(fmt.Sprintf("byte %d is %q", i, damaged[i]), damaged)
		check(fmt.Sprintf("cut off after %d bytes", i), intact[:i])
		check(fmt.Sprintf("without byte %d", i), slices.Concat(intact[:i], intact[i+1:]))
	}
	for range 200 {
		from, n := rng.IntN(len(intact)), 1+rng.IntN(64)
		until := min(from+n, len(intact))
		damaged := bytes.Clone(intact)
		clear(damaged[from:until])
		check(fmt.Sprintf("zeros from %d to %d", from, until), damaged)
		check(fmt.Sprintf("bytes %d to %d twice", from, until), slices.Concat(intact[:until], intact[from:]))
	}
}

// A newer file is recognized whatever else has changed in its format.
func TestDecodeNewer(t *testing.T) {
	for _, file := range []string{
		`{"version":6,"serial":1,"lineage":"x","jobs":{}}`,
		`{"version":6,"jobs":["of another shape"],"new":null}`,
	} {
		_, err := state.Decode([]byte(file))
		if !errors.Is(err, state.ErrNewer) || !strings.Contains(err.Error(), "format 6") {
			t.Errorf("%s returned %v", file, err)
		}
	}
}

// A null map or struct in the file becomes an empty one in the state.
func TestDecodeNull(t *testing.T) {
	for _, test := range []struct{ name, jobs string }{
		{"jobs", `null`},
		{"job", `{"job.a":null}`},
		{"sinks", `{"job.a":{"schema":"x","sinks":null}}`},
		{"sink", `{"job.a":{"schema":"x","sinks":{"sink.b":null}}}`},
		{"partitions", `{"job.a":{"schema":"x","sinks":{"sink.b":{"uri":"u","partitions":null}}}}`},
		{"pending", `{"job.a":{"schema":"x","sinks":{"sink.b":{"uri":"u","partitions":{},"pending":null,"quarantine":null}}}}`},
	} {
		for _, format := range []func(string) string{file, fileV1} {
			t.Run(test.name, func(t *testing.T) {
				s, err := state.Decode([]byte(format(test.jobs)))
				if err != nil {
					t.Fatal(err)
				}
				s.Clone().Job("job.a").Sink("sink.b").Partitions["p"] = partition(1, 1)
				s.Job("job.a").Sink("sink.b").Partitions["p"] = partition(1, 1)
			})
		}
	}
}

// arbitrary returns a random state in which anything may be present or absent.
func arbitrary(rng *rand.Rand) *state.State {
	text := func() string {
		alphabet := []rune("ab=/._-\"\\<&é😀\u2028\x00")
		out := make([]rune, rng.IntN(6))
		for i := range out {
			out[i] = alphabet[rng.IntN(len(alphabet))]
		}
		return string(out)
	}
	somePartition := func() state.Partition {
		p := state.Partition{SchemaFingerprint: text() + "s", Rows: rng.Int64(), Content: schemas.Digest{Hi: rng.Uint64(), Lo: rng.Uint64()}}
		for range rng.IntN(4) {
			p.Files = append(p.Files, state.File{
				Rows: rng.Int64(), Content: schemas.Digest{Hi: rng.Uint64(), Lo: rng.Uint64()},
				Object: state.Object{Key: text(), Size: rng.Int64(), CRC32C: rng.Uint32(), Generation: text()},
			})
		}
		return p
	}
	someQuarantine := func() *state.Quarantine {
		if rng.IntN(2) == 0 {
			return nil
		}
		p := somePartition()
		return &state.Quarantine{Events: p.Rows, Content: p.Content, Object: object(rng.Uint64N(9))}
	}
	s := state.New()
	s.Serial = 1 + rng.Int64N(1<<62)
	s.Erasing = rng.IntN(2) == 0
	for range rng.IntN(3) {
		s.Tombstones = s.Tombstones.Add(text()+"l", text())
	}
	for range rng.IntN(4) {
		job := s.Job(text())
		job.TableName, job.SchemaFingerprint = text(), text()
		if rng.IntN(2) == 0 {
			job.Prospects = &state.ProspectList{Count: rng.Int64(), Digest: text(), Key: text()}
		}
		if rng.IntN(2) == 0 {
			job.Empty = &state.ProspectList{Count: rng.Int64(), Digest: text(), Key: text()}
		}
		if rng.IntN(2) == 0 {
			job.Unavailable = &state.Unavailable{NotFound: rng.Int64()}
		}
		for range rng.IntN(4) {
			sink := job.Sink(text())
			sink.URI, sink.Quarantine = text(), someQuarantine()
			for range rng.IntN(4) {
				sink.Partitions[text()] = somePartition()
			}
			if rng.IntN(2) == 0 {
				sink.Pending = &state.Pending{Partitions: make(map[string]state.Partition), Quarantine: someQuarantine()}
				for range rng.IntN(4) {
					sink.Pending.Partitions[text()] = somePartition()
				}
			}
		}
	}
	return s
}

func TestRoundTrip(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		want := arbitrary(rng)
		encoded := encode(t, want)
		got, err := state.Decode([]byte(encoded))
		if err != nil {
			t.Fatalf("%v:\n%s", err, encoded)
		}
		if diff := cmp.Diff(want, got, same); diff != "" {
			t.Fatalf("the state that was read differs from the one that was written (-want +got):\n%s", diff)
		}
		if again := encode(t, got); again != encoded {
			t.Fatalf("the same state is written as\n%s, then as\n%s", encoded, again)
		}
	}
}

func encode(t testing.TB, s *state.State) string {
	t.Helper()
	b, err := state.Encode(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Decode does not panic for any file. A state that it returns survives a round
// trip.
func FuzzDecode(f *testing.F) {
	b, err := state.Encode(full())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	if b, err = os.ReadFile(filepath.Join("testdata", "v1.json")); err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	for _, jobs := range []string{
		`{}`, `null`, `{"a":null,"a":{"sinks":{"b":null,"c":{"partitions":null,"pending":{}}}}}`,
		`{"a":{"sinks":{"":{"partitions":{"p":null,"P":{"rows":-1}},"quarantine":{"events":-1},"pending":{"partitions":null,"quarantine":{}}}}}}`,
		"{\"\xff\":{},\"\xfe\":{},\"\\ud800\":{}}", `{"a":{"SCHEMA":"x","sinks":{}}}`,
		`{"a":{"table":"t","prospects":null},"b":{"prospects":{"count":-1}}}`,
	} {
		f.Add([]byte(file(jobs)))
		f.Add([]byte(fileV1(jobs)))
	}
	for _, text := range []string{``, `null`, `[]`, `{"version":1}`, `{"version":2}`, `{"version":3}`, `{"version":4}`, `{"version":5}`, `{"version":6}`, `{"Version":1,"version":0}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, _, err := state.DecodeEdited(b)
		if err != nil {
			return
		}
		s.Clone()
		encoded, err := state.Encode(s)
		if err != nil {
			t.Fatalf("the decoded state cannot be encoded: %v", err)
		}
		again, err := state.Decode(encoded)
		if err != nil {
			t.Fatalf("the encoded state cannot be decoded: %v\n%s", err, encoded)
		}
		if diff := cmp.Diff(s, again, same); diff != "" {
			t.Fatalf("the state that was read differs from the one that was written (-want +got):\n%s", diff)
		}
	})
}

package schemas

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// ParseLock restores what Encode wrote, for any table and any key of a job.
func TestLockRoundTrip(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		lock := make(Lock)
		for _, address := range []string{"job.a", `job.b["north"]`, `job.b["${x} \"%{ if }\\"]`, "job.c"}[rng.IntN(4):] {
			lock[address] = randomTable(rng)
		}
		text := lock.Encode()
		got, err := ParseLock(LockFile, text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if !slices.Equal(slices.Sorted(maps.Keys(got)), lock.Addresses()) {
			t.Fatalf("the addresses are %q, not %q", got.Addresses(), lock.Addresses())
		}
		for address, table := range got {
			if changes := Diff(lock[address], table); len(changes) > 0 {
				t.Errorf("%s has changed: %v\n%s", address, changes, text)
			}
		}
		if again := got.Encode(); !bytes.Equal(text, again) {
			t.Errorf("encoded again, the lock differs:\n%s", cmp.Diff(string(text), string(again)))
		}
	}
}

// A lock depends only on the declared tables. It has no hash key, and does not depend on
// the order of jobs, on partition keys or on descriptions.
func TestLockText(t *testing.T) {
	table := hashed(t, firstKey)
	other, err := hashed(t, firstKey, func(t *Table) { t.Columns[3].Description = "other" }).PartitionedBy("event_month")
	if err != nil {
		t.Fatal(err)
	}
	one, two := Lock{}, Lock{}
	for _, address := range []string{"job.a", "job.b", "job.c"} {
		one[address] = table
	}
	for _, address := range []string{"job.c", "job.a", "job.b"} {
		two[address] = other
	}
	if diff := cmp.Diff(string(one.Encode()), string(two.Encode())); diff != "" {
		t.Errorf("the texts differ:\n%s", diff)
	}
	if strings.Contains(string(one.Encode()), firstKey) {
		t.Error("the key is in the lock")
	}
	for _, text := range []string{`fingerprint = "` + table.Unpartitioned().Fingerprint() + `"`, NewKey(firstKey).ID(), "do not edit"} {
		if !strings.Contains(strings.Join(strings.Fields(string(one.Encode())), " "), text) {
			t.Errorf("%s is not in the lock:\n%s", text, one.Encode())
		}
	}
}

func TestParseLockRefuses(t *testing.T) {
	text := string(Lock{"job.a": hashed(t, firstKey, func(t *Table) { t.UnknownField = Discard })}.Encode())
	for _, test := range []struct{ name, old, new, want string }{
		{"a path", "data.score", "data.points", "the file was edited"},
		{"a type", "int64", "float64", "the file was edited"},
		{"an event type", "SMS_*", "WEB_*", "the file was edited"},
		{"a policy", `policy = "hash"`, `policy = "mask"`, "the file was edited"},
		{"a column's name", `"phone"`, `"telephone"`, "the file was edited"},
		{"another key", NewKey(firstKey).ID(), NewKey(secondKey).ID(), "the file was edited"},
		{"dropped fields", `"drop"`, `"keep"`, "the file was edited"},
		{"the fingerprint", `fingerprint   = "`, `fingerprint   = "0`, "the file was edited"},
		{"an unknown type", "int64", "int65", "cannot be read"},
		{"two columns with the same name", `"phone"`, `"score"`, "declared twice"},
		{"half a file", "policy", "}}}", "cannot be read"},
		{"a block of another kind", "schema \"job.a\"", "job \"job.a\"", "cannot be read"},
		{"one job twice", "", "", "the job is listed twice"},
	} {
		t.Run(test.name, func(t *testing.T) {
			edited := strings.Replace(text, test.old, test.new, 1)
			if test.old == "" {
				edited = text + text
			}
			if edited == text {
				t.Fatalf("there is no %s in\n%s", test.old, text)
			}
			lock, err := ParseLock("dir/"+LockFile, []byte(edited))
			if err == nil || lock != nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), LockFile) {
				t.Errorf("the error is %v, want %q", err, test.want)
			}
		})
	}
	if lock, err := ParseLock(LockFile, []byte(lockHeader)); err != nil || lock == nil || len(lock) != 0 {
		t.Errorf("an empty lock is parsed as %v (%v)", lock, err)
	}
}

// Source declares the columns that are not core columns.
func TestSource(t *testing.T) {
	table := KnockEvents()
	table.Description, table.EventTypes = "It's ${all}.", append(table.EventTypes, "VOICE_*")
	table.UnknownField = Discard
	body, _ := table.Column("message_body")
	body.Policy = Redact
	table, err := table.Declare(body)
	if err != nil {
		t.Fatal(err)
	}
	read, err := Parse("source.hcl", table.Source())
	if err != nil {
		t.Fatalf("%v\n%s", err, table.Source())
	}
	if read.Name != table.Name || read.Description != table.Description || read.UnknownField != Discard || !slices.Equal(read.EventTypes, []string{"VOICE_*"}) {
		t.Errorf("the source is\n%s", table.Source())
	}
	core := KnockEvents().Core()
	core.UnknownField = read.UnknownField
	again, err := core.Declare(read.Columns...)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(table.Columns, again.Columns); diff != "" {
		t.Errorf("the columns differ (-want +got):\n%s", diff)
	}
	if again.Fingerprint() != table.Fingerprint() {
		t.Error("the fingerprints differ")
	}
	if source := string(hashed(t, firstKey).Source()); !strings.Contains(source, "var.hash_key") || strings.Contains(source, firstKey) {
		t.Errorf("the source shows the key, or does not refer to it:\n%s", source)
	}
}

package run_test

import (
	"strings"
	"testing"

	"prospector/extract/prospect"
	"prospector/jobs"
)

// Every encoding that a configuration may name can be read.
func TestEncodingsOfLists(t *testing.T) {
	for _, encoding := range jobs.Encodings() {
		_, err := prospect.Load("-", prospect.Options{Encoding: encoding}, strings.NewReader("1\n"))
		if err != nil && strings.Contains(err.Error(), "no encoding") {
			t.Error(err)
		}
	}
	if _, err := prospect.Load("-", prospect.Options{Encoding: "utf-7"}, strings.NewReader("1\n")); err == nil {
		t.Error("there is an encoding utf-7")
	}
}

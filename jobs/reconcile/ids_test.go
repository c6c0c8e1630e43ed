package reconcile

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"prospector/schemas"
)

// sourcesOf returns the IDs of sets of rows: "a b" has two.
func sourcesOf(sets []string) (sources []idSource) {
	for _, s := range sets {
		sources = append(sources, idsOf(schemas.KnockEvents(), streamOf(s), int64(len(s))))
	}
	return sources
}

func TestWithout(t *testing.T) {
	for _, test := range []struct {
		name string
		rows []string
		sets []string
		want string
	}{
		{"no set", []string{"a1 b1", "c1"}, nil, "a1 b1 c1"},
		{"an empty set", []string{"a1"}, []string{""}, "a1"},
		{"the first", []string{"a1 b1 c1"}, []string{"a"}, "b1 c1"},
		{"the last", []string{"a1 b1 c1"}, []string{"c"}, "a1 b1"},
		{"one in the middle", []string{"a1 b1 c1"}, []string{"b"}, "a1 c1"},
		{"every other", []string{"a1 b1 c1 d1 e1"}, []string{"b d"}, "a1 c1 e1"},
		{"all of a batch", []string{"a1 b1", "c1"}, []string{"a b"}, "c1"},
		{"all", []string{"a1 b1", "c1"}, []string{"a b c"}, ""},
		{"of several sets", []string{"a1 b1 c1 d1"}, []string{"b", "", "d b"}, "a1 c1"},
		{"others", []string{"a1"}, []string{"x y"}, "a1"},
		{"empty batches", []string{"", "a1", ""}, []string{"b"}, "a1"},
		{"no rows", nil, []string{"a"}, ""},
	} {
		for name, limit := range limits {
			t.Run(test.name+" "+name, func(t *testing.T) {
				rows, release, err := newIDMemory(limit, t.TempDir()).without(t.Context(), schemas.KnockEvents(), streamOf(test.rows...), sourcesOf(test.sets)...)
				if err != nil {
					t.Fatal(err)
				}
				defer release()
				for range 2 { // a stream can be read again
					got, err := versionsOf(rows)
					if err != nil || strings.Join(got, " ") != test.want {
						t.Errorf("the rest is %q, %v", got, err)
					}
				}
			})
		}
	}
	t.Run("an error comes after the rows before it", func(t *testing.T) {
		rows, release, err := newIDMemory(1<<20, t.TempDir()).without(t.Context(), schemas.KnockEvents(), streamOf("a1 b1", "!"), sourcesOf([]string{"a"})...)
		if err != nil {
			t.Fatal(err)
		}
		defer release()
		if got, err := versionsOf(rows); !errors.Is(err, errStream) || !slices.Equal(got, []string{"b1"}) {
			t.Errorf("got %q, %v", got, err)
		}
	})
	t.Run("a consumer may stop", func(t *testing.T) {
		for name, limit := range limits {
			rows, release, err := newIDMemory(limit, t.TempDir()).without(t.Context(), schemas.KnockEvents(), streamOf("a1 b1 c1", "d1"), sourcesOf([]string{"b"})...)
			if err != nil {
				t.Fatal(name, err)
			}
			for range rows {
				break
			}
			release()
		}
	})
	t.Run("errors of all streams are passed on", func(t *testing.T) {
		for name, limit := range limits {
			ids := newIDMemory(limit, t.TempDir())
			broken := idsOf(schemas.KnockEvents(), streamOf("a1", "!"), 2)
			if _, _, err := ids.without(t.Context(), schemas.KnockEvents(), streamOf("a1"), broken); !errors.Is(err, errStream) {
				t.Errorf("%s: the error is %v", name, err)
			}
		}
		ids := newIDMemory(1, t.TempDir())
		if _, _, err := ids.without(t.Context(), schemas.KnockEvents(), streamOf("a1", "!"), sourcesOf([]string{"a"})...); !errors.Is(err, errStream) {
			t.Errorf("the error is %v", err)
		}
	})
}

func TestWithoutProspect(t *testing.T) {
	for prospect, want := range map[string]string{"early": "x1 y1", "late": "a1 b1", "unlisted": "a1 x1 b1 y1"} {
		got, err := versionsOf(WithoutProspect(schemas.KnockEvents(), streamOf("a1 x1", "", "b1 y1"), prospect))
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("without %s, left are %q, %v", prospect, got, err)
		}
	}
}

package transform_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/google/go-cmp/cmp"

	"prospector/schemas"
	"prospector/transform"
)

// surveyOf returns the survey of events of one prospect.
func surveyOf(t testing.TB, table schemas.Table, nodes ...string) schemas.Survey {
	t.Helper()
	f := transform.NewFlattener(table, relay, func(arrow.Record) error { return nil }, func(transform.Rejected) error { return nil })
	f.Begin("1")
	for _, node := range nodes {
		if err := f.Page([]byte(page(node)), ""); err != nil {
			t.Fatal(err)
		}
	}
	return f.Survey()
}

// listed returns the fields of a survey as sorted texts.
func listed(fields map[schemas.Field]int64) (all []string) {
	for _, c := range schemas.Counts(fields) {
		all = append(all, fmt.Sprintf("%s %s %s %d", c.EventType, c.Path, c.Kind, c.Events))
	}
	return all
}

func TestSurvey(t *testing.T) {
	quarantining := counting(t)
	quarantining.Mismatch = schemas.Quarantine
	event := func(n int, fields string) string {
		return fmt.Sprintf(`{"type":"T","createdAt":"2022-01-01T00:00:%02dZ"%s}`, n, fields)
	}
	deep := func(n int) string { return strings.Repeat(`{"a":`, n) + `1` + strings.Repeat(`}`, n) }
	for _, test := range []struct {
		name       string
		table      schemas.Table
		events     []string
		unmapped   []string
		mismatched []string
		further    int64
	}{
		{"nothing", counting(t), []string{event(1, `,"description":"a","data":{"segments":2}`)}, nil, nil, 0},
		{"kept and null are not unmapped", counting(t), []string{event(1, `,"description":7,"data":{"segments":"2","body":null},"new":null,"agent":{},"source":null`)}, nil, nil, 0},
		{"kinds", counting(t), []string{event(1, `,"a":"","b":1,"c":1.0,"d":9223372036854775808,"e":false,"f":{},"g":[{"x":1}],"data":{"h":-0}`)},
			[]string{"T a string 1", "T b integer 1", "T c number 1", "T d number 1", "T data.h integer 1", "T e bool 1", "T f object 1", "T g array 1"}, nil, 0},
		{"objects are descended into", counting(t), []string{event(1, `,"page":{"url":"a","x":{"y":1}},"data":{"page":{"n":1}}`), event(2, `,"page":{"url":"b","x":7}`)},
			[]string{"T data.page.n integer 1", "T page.url string 2", "T page.x integer 1", "T page.x.y integer 1"}, nil, 0},
		{"a text where an object should be", counting(t), []string{event(1, `,"source":"web","data":[1]`)}, []string{"T data array 1", "T source string 1"}, nil, 0},
		{"mismatches", counting(t), []string{event(1, `,"data":{"segments":"x","text":{"a":1}},"eventTime":7`), event(2, `,"data":{"segments":1.5}`), event(3, `,"data":{"segments":"y"}`)},
			nil, []string{"T data.segments number 1", "T data.segments string 2", "T data.text object 1", "T eventTime integer 1"}, 0},
		{"an event that is no row because of it", quarantining, []string{event(1, `,"data":{"segments":"x"},"a":1`)}, []string{"T a integer 1"}, []string{"T data.segments string 1"}, 0},
		{"an event that came twice counts once", counting(t), []string{event(1, `,"a":1`), event(1, `,"a":1`)}, []string{"T a integer 1"}, nil, 0},
		{"keys that are data", counting(t), []string{event(1, `,"+1206":1,"data":{"jane@example.com":{"a":1},"joe@example.com":2},"x":{"1":1,"2":2}`)},
			[]string{"T data object 1", "T x object 1"}, nil, 1},
		{"deep objects", counting(t), []string{event(1, `,"b":`+deep(6)), event(2, `,"b":`+deep(7)), event(3, `,"b":`+deep(8))},
			[]string{"T b.a.a.a.a.a.a integer 1", "T b.a.a.a.a.a.a.a integer 1", "T b.a.a.a.a.a.a.a object 1"}, nil, 0},
		{"a protected value is listed as a text", protecting(t, secret, everyPolicy), []string{event(1, `,"code":{"a":1}`)}, []string{"T code string 1"}, nil, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := surveyOf(t, test.table, test.events...)
			if diff := cmp.Diff(test.unmapped, listed(s.Unmapped)); diff != "" {
				t.Errorf("unmapped (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.mismatched, listed(s.Mismatched)); diff != "" {
				t.Errorf("mismatched (-want +got):\n%s", diff)
			}
			if s.Further != test.further {
				t.Errorf("Further is %d, want %d", s.Further, test.further)
			}
		})
	}
	t.Run("event types", func(t *testing.T) {
		s := surveyOf(t, counting(t), event(1, ``), event(2, ``), `{"type":"U",`+at+`}`, `{"type":"V"}`)
		if diff := cmp.Diff(map[string]int64{"T": 2, "U": 1}, s.EventTypes); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("many places", func(t *testing.T) {
		var fields strings.Builder
		for i := range 3000 {
			fmt.Fprintf(&fields, `,"k%d":{"a":1}`, i)
		}
		s := surveyOf(t, counting(t), event(1, fields.String()))
		if len(s.Unmapped) != 500 || s.Further != 2500 {
			t.Errorf("%d fields are listed, and Further is %d", len(s.Unmapped), s.Further)
		}
	})
	t.Run("many types", func(t *testing.T) {
		var nodes []string
		for i := range 1500 {
			nodes = append(nodes, fmt.Sprintf(`{"type":"T%d",`+at+`}`, i))
		}
		s := surveyOf(t, counting(t), nodes...)
		if len(s.EventTypes) != 1000 || s.Further != 500 {
			t.Errorf("%d types are listed, and Further is %d", len(s.EventTypes), s.Further)
		}
	})
}

package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"

	"prospector/sink/store/gcs/gcsfault"
)

// printCounts prints the requests by kind, and the faults by name.
func printCounts(out io.Writer, c gcsfault.Counts) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	defer table.Flush()
	fmt.Fprintf(table, "\nrequests\tfaults\t  kind of request\n")
	for _, kind := range byCount(c.Requests) {
		fmt.Fprintf(table, "%d\t%d\t  %s\n", c.Requests[kind], c.Disturbed[kind], kind)
	}
	fmt.Fprintf(table, "\n\tfaults\t  kind of fault\n")
	for _, name := range byCount(c.Faults) {
		fmt.Fprintf(table, "\t%d\t  %s\n", c.Faults[name], name)
	}
	fmt.Fprintf(table, "\t%d\t  total\n", c.Total())
	fmt.Fprintf(table, "\n%d\t\t  answers 412 of the service\n", c.Refused)
}

// byCount returns the keys, the most frequent ones first.
func byCount[K cmp.Ordered](counts map[K]int) []K {
	return slices.SortedFunc(maps.Keys(counts), func(a, b K) int {
		return cmp.Or(counts[b]-counts[a], cmp.Compare(a, b))
	})
}

func newCounts() gcsfault.Counts {
	return gcsfault.Counts{Requests: make(map[gcsfault.Kind]int), Faults: make(map[string]int), Disturbed: make(map[gcsfault.Kind]int)}
}

// add adds counts to a total.
func add(total *gcsfault.Counts, counts gcsfault.Counts) {
	total.Refused += counts.Refused
	merge(total.Requests, counts.Requests)
	merge(total.Faults, counts.Faults)
	merge(total.Disturbed, counts.Disturbed)
}

func merge[K comparable](total, counts map[K]int) {
	for k, n := range counts {
		total[k] += n
	}
}

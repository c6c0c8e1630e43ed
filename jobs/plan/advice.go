package plan

import (
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"strings"

	"prospector/jobs"
	"prospector/schemas"
)

// A table has too many small partitions if it has more than 100, and half of
// them are smaller than 1 MiB. A table below 64 MiB is fast to read, however it
// is partitioned. Readers prefer files of 16 MiB or more.
const (
	manyPartitions = 100
	smallPartition = 1 << 20
	smallTable     = 64 << 20
	goodPartition  = 16 << 20
)

// Advice warns if the job's table will have too many small partitions, and
// suggests a partition_by with fewer. It warns again only when their number has
// doubled, because the user may have chosen these keys on purpose.
func (j *Job) Advice(table schemas.Table) jobs.Diagnostics {
	before, after := j.sizes()
	grade := tiny(after)
	if j.Summary().Empty() || j.Destroy || grade <= tiny(before) {
		return nil
	}
	keys, groups := coarser(after, table.Roles())
	if groups == nil {
		return nil
	}
	total, noun := sum(after), "partitions"
	if len(groups) == 1 {
		noun = "partition"
	}
	return jobs.Diagnostics{{
		Severity: jobs.Warning, Address: j.Address, Summary: "The table has many small files",
		Detail: fmt.Sprintf("The table will have %d partitions with %s in total, and half of them are smaller than %s. Readers such as BigQuery list and open every file, which takes longer than reading its few rows. Files of 16 MiB or more are better. With these keys, the table would have about %d %s of %s on average:\n\n    partition_by = [\"%s\"]\n\nThe next apply would rewrite the table once.",
			len(after), megabytes(total), megabytes(median(after)), len(groups), noun, megabytes(total/int64(len(groups))), strings.Join(keys, `", "`)),
	}}
}

// sizes returns the size of each partition in the first sink, in bytes, before and after
// the plan.
func (j *Job) sizes() (before, after map[string]int64) {
	before = make(map[string]int64)
	if len(j.Sinks) > 0 && j.Found.Prior[j.Sinks[0]] != nil {
		for path, p := range j.Found.Prior[j.Sinks[0]].Partitions {
			before[path] = p.Size()
		}
	}
	after = maps.Clone(before)
	for _, c := range j.Output.Changes {
		after[c.Partition] = c.After
		if c.Rows.After == 0 {
			delete(after, c.Partition)
		}
	}
	return before, after
}

// tiny grades a table. 0 is good, and each further grade means twice as many small
// partitions.
func tiny(sizes map[string]int64) int {
	if len(sizes) <= manyPartitions || sum(sizes) < smallTable || median(sizes) >= smallPartition {
		return 0
	}
	return bits.Len(uint(len(sizes) / manyPartitions))
}

// coarser returns keys with which the partitions are large enough, and the
// sizes of these partitions. If there are none, it returns the keys with the
// fewest partitions, or nil if no keys have fewer partitions than now.
func coarser(sizes map[string]int64, roles schemas.Roles) (keys []string, groups map[string]int64) {
	for _, without := range []string{"", roles.Type} {
		for _, to := range []string{"", roles.Month(), roles.Year()} {
			k, g := regroup(sizes, roles, to, without)
			if len(k) == 0 || len(g) >= len(sizes) || groups != nil && len(g) >= len(groups) {
				continue
			}
			if keys, groups = k, g; median(g) >= goodPartition {
				return keys, groups
			}
		}
	}
	return keys, groups
}

// regroup returns the keys and the sizes of the partitions if the key to
// replaces the key for the time, unless it is "", and the key without is
// removed.
func regroup(sizes map[string]int64, roles schemas.Roles, to, without string) (keys []string, groups map[string]int64) {
	groups = make(map[string]int64)
	for path, size := range sizes {
		var segments []string
		for segment := range strings.SplitSeq(path, "/") {
			if without != "" && strings.HasPrefix(segment, without+"=") {
				continue
			}
			if segment = coarsen(segment, roles, to); !slices.Contains(segments, segment) {
				segments = append(segments, segment)
			}
		}
		groups[strings.Join(segments, "/")] += size
		keys = nil
		for _, segment := range segments {
			key, _, _ := strings.Cut(segment, "=")
			keys = append(keys, key)
		}
	}
	return keys, groups
}

// coarsen turns event_date=2022-01-13 into event_month=2022-01-01, and either of
// them into event_year=2022-01-01.
func coarsen(segment string, roles schemas.Roles, to string) string {
	key, value, _ := strings.Cut(segment, "=")
	switch year, rest, _ := strings.Cut(value, "-"); {
	case to == roles.Month() && key == roles.Day:
		month, _, _ := strings.Cut(rest, "-")
		return to + "=" + year + "-" + month + "-01"
	case to == roles.Year() && (key == roles.Day || key == roles.Month()):
		return to + "=" + year + "-01-01"
	}
	return segment
}

func sum(sizes map[string]int64) (total int64) {
	for _, size := range sizes {
		total += size
	}
	return total
}

func median(sizes map[string]int64) int64 {
	return slices.Sorted(maps.Values(sizes))[len(sizes)/2]
}

func megabytes(bytes int64) string {
	if bytes < 1e6 {
		return fmt.Sprintf("%.1f kB", float64(bytes)/1e3)
	}
	return fmt.Sprintf("%.1f MB", float64(bytes)/1e6)
}

package plan

import (
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"strings"

	"prospector/jobs"
)

// A table has too many small partitions when it has more than a hundred, half of
// them of less than one MiB. One that is small as a whole is read at once however
// it is cut; and what readers like are files of 16 MiB and more.
const (
	manyPartitions = 100
	smallPartition = 1 << 20
	smallTable     = 64 << 20
	goodPartition  = 16 << 20
)

// Advice is a warning when the job's table comes to have too many small
// partitions, with the partition_by that would make fewer of them. It is told when
// that becomes so, and again only when there are twice as many: the user may have
// chosen it.
func (j *Job) Advice() jobs.Diagnostics {
	before, after := j.sizes()
	grade := tiny(after)
	if j.Summary().Empty() || j.Destroy || grade <= tiny(before) {
		return nil
	}
	keys, groups := coarser(after)
	if groups == nil {
		return nil
	}
	total, noun := sum(after), "partitions"
	if len(groups) == 1 {
		noun = "partition"
	}
	return jobs.Diagnostics{{
		Severity: jobs.Warning, Address: j.Address, Summary: "The table has many small files",
		Detail: fmt.Sprintf("It comes to have %d partitions with %s in all, and half of them have less than %s. Readers such as BigQuery list and open every file, which takes longer than to read so little of each; 16 MiB and more are better. With this in the job, there would be about %d %s of %s on average:\n\n    partition_by = [\"%s\"]\n\nThat writes the table anew, once.",
			len(after), megabytes(total), megabytes(median(after)), len(groups), noun, megabytes(total/int64(len(groups))), strings.Join(keys, `", "`)),
	}}
}

// sizes are the bytes of each partition in the first sink, before the plan and
// after it.
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

// tiny grades a table: 0 is well, and each grade more is twice as many small
// partitions.
func tiny(sizes map[string]int64) int {
	if len(sizes) <= manyPartitions || sum(sizes) < smallTable || median(sizes) >= smallPartition {
		return 0
	}
	return bits.Len(uint(len(sizes) / manyPartitions))
}

// coarser finds the keys by which the partitions would be large enough, and how
// large; or where no keys make them so, those that make the fewest. It is nil when
// none make fewer.
func coarser(sizes map[string]int64) (keys []string, groups map[string]int64) {
	for _, without := range []string{"", "event_type="} {
		for _, to := range []string{"", "event_month=", "event_year="} {
			k, g := regroup(sizes, to, without)
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

// regroup adds up the sizes of what would be one partition with the time key made
// coarser and another key left out.
func regroup(sizes map[string]int64, to, without string) (keys []string, groups map[string]int64) {
	groups = make(map[string]int64)
	for path, size := range sizes {
		var segments []string
		for segment := range strings.SplitSeq(path, "/") {
			if without != "" && strings.HasPrefix(segment, without) {
				continue
			}
			if segment = coarsen(segment, to); !slices.Contains(segments, segment) {
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

// coarsen makes event_date=2022-01-13 event_month=2022-01-01, and either
// event_year=2022-01-01.
func coarsen(segment, to string) string {
	key, value, _ := strings.Cut(segment, "=")
	switch year, rest, _ := strings.Cut(value, "-"); {
	case to == "event_month=" && key == "event_date":
		month, _, _ := strings.Cut(rest, "-")
		return to + year + "-" + month + "-01"
	case to == "event_year=" && (key == "event_date" || key == "event_month"):
		return to + year + "-01-01"
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

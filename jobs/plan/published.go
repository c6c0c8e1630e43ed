package plan

import "prospector/jobs/state"

// Published returns a published partition, and the sink to read it from: the first sink in
// which the partition is intact and no change of it is unfinished. So if an interrupted
// apply has changed the partition only in some sinks, its new rows are read. If there is
// no such sink, it is the first one in which the partition is intact. If there is none, it
// is the sink with the most rows in intact files, and the partition has only those files.
// ok is false if no sink has any rows of the partition.
func Published(sinks []string, prior map[string]*Refreshed, path string) (sink string, p state.Partition, ok bool) {
	for _, at := range sinks {
		intact, exists := prior[at].Partitions[path]
		_, unfinished := prior[at].Unfinished[path]
		if exists && !unfinished {
			return at, intact, true
		}
		if exists && !ok {
			sink, p, ok = at, intact, true
		}
	}
	if ok {
		return sink, p, true
	}
	for _, at := range sinks {
		if intact := prior[at].Intact(path); intact.Rows > p.Rows {
			sink, p, ok = at, intact, true
		}
	}
	return sink, p, ok
}

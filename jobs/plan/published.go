package plan

import "prospector/jobs/state"

// Published returns a published partition, and the sink to read it from: the
// first sink in which the partition is intact. If there is none, it is the sink
// with the most rows in intact files, and the partition has only those files.
// ok is false if no sink has any rows of the partition.
func Published(sinks []string, prior map[string]*Refreshed, path string) (sink string, p state.Partition, ok bool) {
	for _, sink := range sinks {
		if p, ok := prior[sink].Partitions[path]; ok {
			return sink, p, true
		}
	}
	for _, at := range sinks {
		if intact := prior[at].Intact(path); intact.Rows > p.Rows {
			sink, p, ok = at, intact, true
		}
	}
	return sink, p, ok
}

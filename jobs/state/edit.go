package state

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"prospector/jobs"
)

// ErrNoAddress reports that the state does not contain an address.
var ErrNoAddress = errors.New("the state has no such address")

// List returns the addresses of all jobs and of their partitions in any sink,
// in ascending order.
func (s *State) List() []jobs.Address {
	var all []jobs.Address
	for text, j := range s.Jobs {
		job := addressOf(text)
		all = append(all, job)
		for _, sink := range j.Sinks {
			for path := range sink.Partitions {
				all = append(all, job.WithPartition(path))
			}
		}
	}
	slices.SortFunc(all, jobs.Address.Compare)
	return slices.Compact(all)
}

// addressOf parses a key of Jobs. A key that was edited by hand may not parse.
// It is listed anyway.
func addressOf(key string) jobs.Address {
	if a, err := jobs.ParseAddress(key); err == nil {
		return a
	}
	return jobs.Address{Name: strings.TrimPrefix(key, "job.")}
}

// Move changes the address of a job. It does not move the job's table.
func (s *State) Move(from, to string) error {
	if err := s.move(from, to); err != nil {
		return fmt.Errorf("moving %s to %s: %w", from, to, err)
	}
	return nil
}

func (s *State) move(from, to string) error {
	for _, text := range []string{from, to} {
		a, err := jobs.ParseAddress(text)
		if err != nil {
			return err
		}
		if a.IsPartition() {
			return fmt.Errorf("%s is a partition, and only jobs can be moved; partition_by determines the path of a partition", text)
		}
		if text != a.String() {
			return fmt.Errorf("the state lists %s as %s; use that form", text, a)
		}
	}
	job, ok := s.Jobs[from]
	if !ok {
		return fmt.Errorf("%w; it has %s", ErrNoAddress, s.listed())
	}
	if _, ok := s.Jobs[to]; ok {
		return fmt.Errorf("the state already has a job %s; move or remove that job first", to)
	}
	delete(s.Jobs, from)
	s.Jobs[to] = job
	return nil
}

// Forget removes from the state everything that an address contains: a job with
// all of its instances and partitions, or one partition in every sink. The
// objects remain in the lake, but prospector no longer owns them.
func (s *State) Forget(address string) error {
	a, err := jobs.ParseAddress(address)
	if err != nil {
		return err
	}
	forgotten := false
	for key, job := range s.Jobs {
		switch of := addressOf(key); {
		case a.Contains(of):
			delete(s.Jobs, key)
			forgotten = true
		case a.IsPartition() && a.Job() == of:
			forgotten = job.forget(a.Partition) || forgotten
		}
	}
	if !forgotten {
		return fmt.Errorf("forgetting %s: %w; it has %s", address, ErrNoAddress, s.listed())
	}
	return nil
}

// ForgetSink removes a sink from every job, for example because the sink no
// longer exists. It also removes the jobs that have no other sink.
func (s *State) ForgetSink(address string) error {
	forgotten := false
	for key, job := range s.Jobs {
		if _, ok := job.Sinks[address]; !ok {
			continue
		}
		forgotten = true
		if delete(job.Sinks, address); len(job.Sinks) == 0 {
			delete(s.Jobs, key)
		}
	}
	if !forgotten {
		return fmt.Errorf("forgetting %s: %w", address, ErrNoAddress)
	}
	return nil
}

// forget removes a partition from every sink, and reports whether there was one.
func (j *Job) forget(partition string) (forgotten bool) {
	for _, sink := range j.Sinks {
		if _, ok := sink.Partitions[partition]; ok {
			delete(sink.Partitions, partition)
			forgotten = true
		}
		maps.DeleteFunc(sink.Obsolete, func(key string, _ Object) bool { return path.Dir(key) == j.TableName+"/"+partition })
		p := sink.Pending
		if p == nil {
			continue
		}
		if _, ok := p.Partitions[partition]; ok {
			delete(p.Partitions, partition)
			forgotten = true
		}
		if len(p.Partitions) == 0 && p.Quarantine == nil {
			sink.Pending = nil
		}
	}
	return forgotten
}

// listed returns the addresses of the jobs for an error message.
func (s *State) listed() string {
	const most = 10
	switch names := s.Addresses(); {
	case len(names) == 0:
		return "no jobs"
	case len(names) > most:
		return fmt.Sprintf("%s and %d more jobs", strings.Join(names[:most], ", "), len(names)-most)
	default:
		return strings.Join(names, ", ")
	}
}

// Vacant reports whether the job owns nothing in the sink, and nothing is pending.
func (s *Sink) Vacant() bool {
	return len(s.Partitions)+len(s.Obsolete) == 0 && s.Quarantine == nil && s.Pending == nil
}

// Empty reports whether no job owns anything in any sink.
func (s *State) Empty() bool {
	for _, j := range s.Jobs {
		for _, sink := range j.Sinks {
			if !sink.Vacant() {
				return false
			}
		}
	}
	return true
}

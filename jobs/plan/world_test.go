package plan_test

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"prospector/jobs/plan"
	"prospector/jobs/state"
	"prospector/schemas"
)

const address = "job.events"

var sinks = []string{lake, bucket}

// world is two sinks, a state, a source, and everything that can go wrong between
// them. Its runs change the state with the transitions of package state, as a real
// apply does.
type world struct {
	t    *testing.T
	seed uint64
	rng  *rand.Rand
	log  []string
	held map[string]held
	// past are all objects that were ever at a key.
	past map[string][]string
	// strange are the generations that outsiders have made.
	strange map[string]bool
	// writes is the newest generation.
	writes int
	// state is what its file holds.
	state *state.State
	// desired are the rows by partition, and the events of the quarantine.
	desired    map[string]string
	quarantine string
	// target is how many rows the files have at the most.
	target int
}

func newWorld(t *testing.T, seed uint64) *world {
	return &world{
		t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 0)), state: state.New(),
		held: map[string]held{lake: {}, bucket: {}}, past: make(map[string][]string), strange: make(map[string]bool),
		desired: make(map[string]string), target: []int{1, 2, 4, 4}[seed%4],
	}
}

// end stops the test at the first world that has gone wrong, and tells it.
func (w *world) end() {
	if w.t.Failed() {
		w.t.Fatalf("world %d:\n%s", w.seed, strings.Join(w.log, "\n"))
	}
}

func (w *world) did(format string, args ...any) { w.log = append(w.log, fmt.Sprintf(format, args...)) }

// chance is true once in n times.
func (w *world) chance(n int) bool { return w.rng.IntN(n) == 0 }

func pick[T cmp.Ordered, V any](w *world, from map[T]V) T {
	keys := slices.Sorted(maps.Keys(from))
	return keys[w.rng.IntN(len(keys))]
}

// put makes an object, of a new generation.
func (w *world) put(sink, key, text string) string {
	w.writes++
	w.past[key] = append(w.past[key], text)
	w.held[sink][key] = fmt.Sprintf("%s@%d", text, w.writes)
	return fmt.Sprint(w.writes)
}

// rowsOf are the rows in a file's text. The same rows can stand in several
// files, as Parquet's footers differ.
func rowsOf(text string) string {
	rows, _, _ := strings.Cut(text, "|")
	return rows
}

// digest is that of rows, of which each is a byte.
func digest(rows string) (sum schemas.Digest) {
	for i := range len(rows) {
		sum = sum.Add(schemas.HashValuesOf("").String(rows[i : i+1]))
	}
	return sum
}

// stage makes the file of those rows; its path is its text.
func (w *world) stage(rows string) *plan.Staged {
	text := fmt.Sprintf("%s|%d", rows, w.rng.IntN(3))
	return &plan.Staged{Path: text, Rows: int64(len(rows)), Content: digest(rows), Size: int64(len(text)), CRC32C: checksum(text)}
}

// stageParts makes the files of a partition, one or more.
func (w *world) stageParts(rows string) (files []*plan.Staged) {
	target := 1 + w.rng.IntN(w.target)
	for len(rows) > 0 {
		n := min(target, len(rows))
		files, rows = append(files, w.stage(rows[:n])), rows[n:]
	}
	return files
}

// happens changes what the source says.
func (w *world) happens() {
	for range w.rng.IntN(3) {
		path := fmt.Sprintf("p=%d", w.rng.IntN(4))
		if w.chance(3) {
			delete(w.desired, path)
			w.did("source: %s has no rows", path)
		} else {
			w.desired[path] = fmt.Sprintf("row%d", w.rng.IntN(4))
			w.did("source: %s has %s", path, w.desired[path])
		}
	}
	if w.chance(3) {
		w.quarantine = []string{"", "bad0", "bad1"}[w.rng.IntN(3)]
		w.did("source: the quarantine has %q", w.quarantine)
	}
}

// meddle does what an outsider might do to one object.
func (w *world) meddle() {
	sink := pick(w, w.held)
	objects := w.held[sink]
	put := func(key, text string) { w.strange[w.put(sink, key, text)] = true }
	if len(objects) == 0 || w.chance(5) {
		key := []string{plan.Key(job, fmt.Sprintf("p=%d", w.rng.IntN(4))), "events/_SUCCESS", plan.QuarantineKey(job)}[w.rng.IntN(3)]
		if len(w.past) > 0 && w.chance(2) {
			key = pick(w, w.past)
		}
		put(key, "strange")
		w.did("outsider: puts %s into %s", key, sink)
		return
	}
	key := pick(w, objects)
	switch w.rng.IntN(4) {
	case 0:
		delete(objects, key)
		w.did("outsider: deletes %s of %s", key, sink)
	case 1:
		put(key, "garbage")
		w.did("outsider: damages %s of %s", key, sink)
	case 2:
		text, _ := parse(objects[key])
		put(key, text)
		w.did("outsider: copies %s of %s onto itself", key, sink)
	case 3:
		text := w.past[key][w.rng.IntN(len(w.past[key]))]
		put(key, text)
		w.did("outsider: restores %s of %s to %s", key, sink, text)
	}
}

// run is a plan with what it was made from.
type run struct {
	plan.Job
	state *state.State // as the run has it in memory
	prior map[string]*plan.Refreshed
}

// plan refreshes, stages and compares, and changes nothing.
func (w *world) plan() *run {
	r := &run{state: w.state.Clone(), prior: make(map[string]*plan.Refreshed)}
	owned := w.state.Clone().Job(address)
	for _, sink := range sinks {
		r.prior[sink] = refresh(w.t, sink, owned.Sink(sink), w.held[sink])
		r.Found.Drift = append(r.Found.Drift, r.prior[sink].Drift...)
	}
	paths := plan.Partitions(r.prior)
	for _, path := range slices.Sorted(maps.Keys(w.desired)) {
		if !slices.Contains(paths, path) {
			paths = append(paths, path)
		}
	}
	var outcomes []plan.Outcome
	for _, path := range paths {
		rows := w.desired[path]
		o := plan.Outcome{Partition: path, Rows: plan.Rows{After: int64(len(rows))}, Content: digest(rows)}
		if rows != "" && slices.ContainsFunc(sinks, func(sink string) bool {
			return plan.Needs(&r.prior[sink].Sink, o)
		}) {
			o.Staged = w.stageParts(rows)
		}
		outcomes = append(outcomes, o)
	}
	r.TableName, r.Sinks, r.Found.Prior = job, sinks, r.prior
	r.Output.Changes = plan.Changes(job, sinks, r.prior, outcomes)
	r.Output.Quarantine = w.planQuarantine(r.prior)
	r.Output.Obsolete = r.DeleteObsolete()
	return r
}

func (w *world) planQuarantine(prior map[string]*plan.Refreshed) *plan.Quarantine {
	q := &plan.Quarantine{After: int64(len(w.quarantine))}
	for _, sink := range sinks {
		have := prior[sink].Quarantine
		write := plan.Write{Sink: sink, Action: plan.Update, Key: plan.QuarantineKey(job)}
		switch {
		case have == nil && q.After == 0, have != nil && have.Content == digest(w.quarantine):
			continue
		case have == nil:
			write.Action, write.Generation = plan.Create, prior[sink].Damaged[write.Key]
		case q.After == 0:
			write.Action, write.Generation = plan.Delete, have.Object.Generation
		default:
			write.Generation = have.Object.Generation
		}
		q.Writes = append(q.Writes, write)
	}
	if q.After > 0 {
		q.Staged = w.stage(w.quarantine)
	}
	if len(q.Writes) == 0 {
		return nil
	}
	return q
}

func (r *run) inTheWay() []plan.Drift { return plan.InTheWay(r.Output.Changes, r.Found.Drift) }

var (
	errCrashed  = errors.New("the process was killed")
	errConflict = errors.New("the object has changed since it was planned")
	errStopped  = errors.New("the run was stopped")
)

// apply carries out the plan with the transitions of a real apply. After the given
// number of steps, which are writes of objects and of the state, the process is killed.
// If stop is set, it is interrupted instead, and still saves the state.
func (w *world) apply(r *run, steps int, stop bool) error {
	killed := func() bool { steps--; return steps < 0 }
	owned := r.state.Job(address)
	r.StagePending(owned, state.Lists{})
	if killed() {
		return errCrashed
	}
	w.record(r)

	// do makes one write, unless the run ends before it.
	do := func(write plan.Write, staged *plan.Staged) (generation string, err error) {
		if killed() {
			if !stop {
				return "", errCrashed
			}
			if w.chance(2) { // it takes effect, and the run gets no response
				_, _ = w.publish(r, write, staged)
			}
			return "", errStopped
		}
		return w.publish(r, write, staged)
	}
	tasks := r.tasks(do)
	w.rng.Shuffle(len(tasks), func(i, j int) { tasks[i], tasks[j] = tasks[j], tasks[i] })
	var failed error
	for _, task := range tasks {
		err := task(owned)
		if errors.Is(err, errCrashed) {
			return err
		}
		if failed = cmp.Or(failed, err); errors.Is(err, errStopped) {
			break
		} // the other tasks continue, as they do when several run at a time
	}
	if failed == nil {
		r.state.Finalize(address, sinks, false)
		if killed() {
			return errCrashed
		}
	}
	w.record(r)
	return failed
}

type writer func(plan.Write, *plan.Staged) (generation string, err error)

// tasks are the parts of a plan that an apply makes in any order. Each makes its
// writes in order, with the transitions between them.
func (r *run) tasks(do writer) (all []func(*state.Job) error) {
	for _, c := range r.Output.Changes {
		for _, sink := range c.Sinks() {
			all = append(all, func(owned *state.Job) error { return r.publishPartition(owned.Sink(sink), c, sink, do) })
		}
	}
	if q := r.Output.Quarantine; q != nil {
		for _, write := range q.Writes {
			all = append(all, func(owned *state.Job) error {
				generation, err := do(write, q.Staged)
				switch {
				case err != nil:
				case write.Action == plan.Delete:
					owned.Sink(write.Sink).PublishQuarantine(nil)
				default:
					owned.Sink(write.Sink).PublishQuarantine(q.State(state.Object{Key: write.Key, Generation: generation}))
				}
				return err
			})
		}
	}
	for _, write := range r.Output.Obsolete {
		all = append(all, func(owned *state.Job) error {
			_, err := do(write, nil)
			if err == nil {
				owned.Sink(write.Sink).DropObsolete(write.Key)
			}
			return err
		})
	}
	return all
}

func (r *run) publishPartition(owned *state.Sink, c plan.Change, sink string, do writer) error {
	change := r.StateChange(c, sink)
	for _, write := range c.Writes {
		if write.Sink != sink || write.Action == plan.Delete {
			continue
		}
		generation, err := do(write, c.Staged[write.File])
		if err != nil {
			return err
		}
		change.Next.Files[write.File].Generation = generation
	}
	if !change.Deletes() {
		owned.Publish(change)
	}
	for _, o := range change.Obsolete {
		if _, err := do(plan.Write{Sink: sink, Action: plan.Delete, Key: o.Key, Generation: o.Generation}, nil); err != nil {
			return err
		}
		owned.DropObsolete(o.Key)
	}
	if change.Deletes() {
		owned.DropPartition(c.Partition)
	}
	return nil
}

func (w *world) record(r *run) { w.state = r.state.Clone() }

// publish makes one change on its condition, and proves that what it takes away
// was ours as the refresh has found it, or is in the plan's drift.
func (w *world) publish(r *run, write plan.Write, staged *plan.Staged) (generation string, err error) {
	there, exists := w.held[write.Sink][write.Key]
	text, current := parse(there)
	switch {
	case write.Action == plan.Delete && !exists:
		return "", nil
	case current != write.Generation:
		w.did("run: %s of %s is not as planned", write.Key, write.Sink)
		return "", errConflict
	}
	if exists && !slices.Contains(r.Found.Drift, plan.Drift{Sink: write.Sink, Key: write.Key, Kind: plan.Modified}) {
		ours := false
		for _, p := range slices.Concat(slices.Collect(maps.Values(r.prior[write.Sink].Partitions)), slices.Collect(maps.Values(r.prior[write.Sink].Broken))) {
			f, _ := p.File(write.Key)
			ours = ours || f.Object == objectOf(write.Key, text, current)
		}
		if o, ok := r.prior[write.Sink].Obsolete[write.Key]; ok {
			ours = ours || o.Generation == current
		}
		if q := r.prior[write.Sink].Quarantine; q != nil {
			ours = ours || q.Object == objectOf(write.Key, text, current)
		}
		if !ours {
			w.t.Errorf("%s of %s holds %s, which is neither ours nor drift, and is lost", write.Key, write.Sink, there)
		}
	}
	if write.Action == plan.Delete {
		delete(w.held[write.Sink], write.Key)
		w.did("run: deletes %s of %s", write.Key, write.Sink)
		return "", nil
	}
	w.did("run: writes %s of %s: %s", write.Key, write.Sink, staged.Path)
	return w.put(write.Sink, write.Key, staged.Path), nil
}

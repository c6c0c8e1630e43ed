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

// world simulates two sinks, a state and a source, and everything that can go
// wrong between them. Its runs change the state with the transitions of package
// state, as a real apply does.
type world struct {
	t    *testing.T
	seed uint64
	rng  *rand.Rand
	log  []string
	held map[string]held
	// past are the texts of all objects that were ever at a key.
	past map[string][]string
	// foreign are the generations that other programs have written.
	foreign map[string]bool
	// writes is the newest generation.
	writes int
	// state is the saved state.
	state *state.State
	// desired are the rows of the source, by partition. quarantine are its
	// quarantined events.
	desired    map[string]string
	quarantine string
	// target is the maximum number of rows in a file.
	target int
}

func newWorld(t *testing.T, seed uint64) *world {
	return &world{
		t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 0)), state: state.New(),
		held: map[string]held{lake: {}, bucket: {}}, past: make(map[string][]string), foreign: make(map[string]bool),
		desired: make(map[string]string), target: []int{1, 2, 4, 4}[seed%4],
	}
}

// end stops the test at the first world that failed, and prints its log.
func (w *world) end() {
	if w.t.Failed() {
		w.t.Fatalf("world %d:\n%s", w.seed, strings.Join(w.log, "\n"))
	}
}

func (w *world) did(format string, args ...any) { w.log = append(w.log, fmt.Sprintf(format, args...)) }

// chance returns true once in n calls, on average.
func (w *world) chance(n int) bool { return w.rng.IntN(n) == 0 }

func pick[T cmp.Ordered, V any](w *world, from map[T]V) T {
	keys := slices.Sorted(maps.Keys(from))
	return keys[w.rng.IntN(len(keys))]
}

// put writes an object and returns its new generation.
func (w *world) put(sink, key, text string) string {
	w.writes++
	w.past[key] = append(w.past[key], text)
	w.held[sink][key] = fmt.Sprintf("%s@%d", text, w.writes)
	return fmt.Sprint(w.writes)
}

// rowsOf returns the rows in a file's text. Files with the same rows may
// differ, as Parquet footers do.
func rowsOf(text string) string {
	rows, _, _ := strings.Cut(text, "|")
	return rows
}

// digest returns the digest of rows. Each row is a byte.
func digest(rows string) (sum schemas.Digest) {
	for i := range len(rows) {
		sum = sum.Add(schemas.HashValuesOf("").String(rows[i : i+1]))
	}
	return sum
}

// stage returns a file with the rows. Its path is its text.
func (w *world) stage(rows string) *plan.Staged {
	text := fmt.Sprintf("%s|%d", rows, w.rng.IntN(3))
	return &plan.Staged{Path: text, Rows: int64(len(rows)), Content: digest(rows), Size: int64(len(text)), CRC32C: checksum(text)}
}

// stageParts returns the files of a partition.
func (w *world) stageParts(rows string) (files []*plan.Staged) {
	target := 1 + w.rng.IntN(w.target)
	for len(rows) > 0 {
		n := min(target, len(rows))
		files, rows = append(files, w.stage(rows[:n])), rows[n:]
	}
	return files
}

// changeSource changes what the source returns.
func (w *world) changeSource() {
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

// interfere changes one object as another program might.
func (w *world) interfere() {
	sink := pick(w, w.held)
	objects := w.held[sink]
	put := func(key, text string) { w.foreign[w.put(sink, key, text)] = true }
	if len(objects) == 0 || w.chance(5) {
		key := []string{plan.Key(job, fmt.Sprintf("p=%d", w.rng.IntN(4))), "events/_SUCCESS", plan.QuarantineKey(job)}[w.rng.IntN(3)]
		if len(w.past) > 0 && w.chance(2) {
			key = pick(w, w.past)
		}
		put(key, "foreign")
		w.did("other program: writes %s to %s", key, sink)
		return
	}
	key := pick(w, objects)
	switch w.rng.IntN(4) {
	case 0:
		delete(objects, key)
		w.did("other program: deletes %s in %s", key, sink)
	case 1:
		put(key, "garbage")
		w.did("other program: damages %s in %s", key, sink)
	case 2:
		text, _ := parse(objects[key])
		put(key, text)
		w.did("other program: rewrites %s in %s unchanged", key, sink)
	case 3:
		text := w.past[key][w.rng.IntN(len(w.past[key]))]
		put(key, text)
		w.did("other program: restores %s in %s to %s", key, sink, text)
	}
}

// run is a plan and the values that it is based on.
type run struct {
	plan.Job
	state *state.State // as the run has it in memory
	prior map[string]*plan.Refreshed
}

// plan refreshes, stages and compares. It changes nothing.
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

// apply applies the plan with the transitions of a real apply. After the given
// number of steps, which are writes of objects and of the state, the process is
// killed. If stop is set, it is interrupted instead, and still saves the state.
func (w *world) apply(r *run, steps int, stop bool) error {
	killed := func() bool { steps--; return steps < 0 }
	owned := r.state.Job(address)
	r.StagePending(owned, state.Lists{})
	if killed() {
		return errCrashed
	}
	w.record(r)

	// do makes one write, unless the run ends first.
	do := func(write plan.Write, staged *plan.Staged) (generation string, err error) {
		if killed() {
			if !stop {
				return "", errCrashed
			}
			if w.chance(2) { // the write takes effect, but the run gets no response
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
		} // the other tasks continue, as concurrent tasks do
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

// tasks returns the parts of a plan, which an apply makes in any order. Each
// task makes its writes in order, with the transitions between them.
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

// publish makes one conditional write. It checks that the object that it
// replaces or deletes was owned and unchanged at the refresh, or is part of the
// plan's drift.
func (w *world) publish(r *run, write plan.Write, staged *plan.Staged) (generation string, err error) {
	there, exists := w.held[write.Sink][write.Key]
	text, current := parse(there)
	switch {
	case write.Action == plan.Delete && !exists:
		return "", nil
	case current != write.Generation:
		w.did("run: %s in %s has changed since the plan", write.Key, write.Sink)
		return "", errConflict
	}
	if exists && !slices.Contains(r.Found.Drift, plan.Drift{Sink: write.Sink, Key: write.Key, Kind: plan.Modified}) {
		owns := false
		for _, p := range slices.Concat(slices.Collect(maps.Values(r.prior[write.Sink].Partitions)), slices.Collect(maps.Values(r.prior[write.Sink].Broken))) {
			f, _ := p.File(write.Key)
			owns = owns || f.Object == objectOf(write.Key, text, current)
		}
		if o, ok := r.prior[write.Sink].Obsolete[write.Key]; ok {
			owns = owns || o.Generation == current
		}
		if q := r.prior[write.Sink].Quarantine; q != nil {
			owns = owns || q.Object == objectOf(write.Key, text, current)
		}
		if !owns {
			w.t.Errorf("the run replaces or deletes %s in %s, but %s is neither owned nor drift", write.Key, write.Sink, there)
		}
	}
	if write.Action == plan.Delete {
		delete(w.held[write.Sink], write.Key)
		w.did("run: deletes %s in %s", write.Key, write.Sink)
		return "", nil
	}
	w.did("run: writes %s in %s: %s", write.Key, write.Sink, staged.Path)
	return w.put(write.Sink, write.Key, staged.Path), nil
}

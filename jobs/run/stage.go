package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/jobs/state"
	"prospector/sink"
	"prospector/sink/store"
	"prospector/transform"
)

// planJob reads one job's events and stages the files of what they change.
func (s *Session) planJob(ctx context.Context, job jobs.Job) (plan.Job, error) {
	if prior, ok := s.state.Jobs[job.Address]; ok && prior.Schema != "" && prior.Schema != job.Table.Fingerprint() {
		return plan.Job{}, job.Diagnose("partition_by", "The table has changed",
			"The published table has other columns or partition keys than this job declares, and its files cannot be rewritten yet. Give the job a new name, so that it writes a new table, or go back to what it was.")
	}
	prior, err := s.refresh(ctx, job)
	if err != nil {
		return plan.Job{}, err
	}
	s.refreshed[job.Address] = prior
	from, err := s.openSource(ctx, job)
	if err != nil {
		return plan.Job{}, err
	}
	defer from.close()

	dir := filepath.Join(s.stageDir(), job.Name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return plan.Job{}, fmt.Errorf("making the staging directory: %w", err)
	}
	staging := sink.NewStage(job.Table, dir, s.MemoryLimit)
	s.stages = append(s.stages, staging)
	first := job.Sinks[0].Address
	rejected, err := openQuarantine(ctx, s.stores[first], prior[first].Quarantine)
	if err != nil {
		return plan.Job{}, err
	}
	read, err := s.read(ctx, job, from, staging, rejected)
	if err != nil {
		return plan.Job{}, err
	}
	if c := read.coverage; c.Prospects > 0 && c.Complete+c.Partial+c.NotFound == 0 {
		return plan.Job{}, job.Source.Diagnose("endpoint", "No prospect could be read", failureList(read)+"\n\nNothing was published.")
	}

	b := &builder{session: s, job: job, prior: prior, staging: staging, dir: dir}
	outcomes, err := b.outcomes(ctx)
	if err != nil {
		return plan.Job{}, err
	}
	out := plan.Job{Address: job.Address, Coverage: read.coverage}
	out.Changes = plan.Changes(job.Name, b.sinks(), prior, outcomes)
	out.Quarantine, err = rejected.change(job.Name, b.sinks(), prior, filepath.Join(dir, "quarantine.jsonl"))
	if err != nil {
		return plan.Job{}, err
	}
	out.Books = plan.Books{Events: read.events, Duplicates: read.books.Duplicates, Quarantined: read.books.Quarantined}
	for _, o := range outcomes {
		out.Books.Added += o.Rows.Added
		out.Books.Changed += o.Rows.Changed
		out.Books.Unchanged += o.Rows.Unchanged
	}
	if err := out.Books.Check(); err != nil {
		return plan.Job{}, err
	}
	for _, sink := range b.sinks() {
		out.Drift = append(out.Drift, prior[sink].Drift...)
	}
	out.Warnings, err = s.driftWarnings(job, out.Changes, out.Drift)
	out.Warnings = append(out.Warnings, readWarnings(job, from, read)...)
	s.Observer.Staged(job.Address)
	return out, err
}

// builder makes the files of a job's partitions.
type builder struct {
	session *Session
	job     jobs.Job
	prior   map[string]*plan.Refreshed
	staging *sink.Stage
	dir     string
}

func (b *builder) sinks() []string {
	addresses := make([]string, len(b.job.Sinks))
	for i, s := range b.job.Sinks {
		addresses[i] = s.Address
	}
	return addresses
}

// published is what a partition holds already, and in which sink it was found.
func (b *builder) published(path string) (sink string, p state.Partition, ok bool) {
	for _, sink := range b.sinks() {
		if p, ok := b.prior[sink].Partitions[path]; ok {
			return sink, p, true
		}
	}
	return "", state.Partition{}, false
}

// draft is a partition on its way to an outcome.
type draft struct {
	path    string
	staged  sink.Staged // zero Rows: no new ones
	in      string      // the sink that has the published rows, "" for none
	old     state.Partition
	diff    transform.Diff
	removed transform.IDs // published rows whose events are in another partition now
}

func (d *draft) rows() plan.Rows {
	r := plan.Rows{
		Before: d.old.Rows, Added: d.diff.Added, Changed: d.diff.Changed, Unchanged: d.diff.Unchanged,
		Removed: int64(len(d.removed)),
	}
	r.After = r.Before + r.Added - r.Removed
	return r
}

// outcomes compares what is staged with what is published, and builds what any
// sink needs. It reads only published partitions whose rows are not, by their
// digest, exactly the new ones.
func (b *builder) outcomes(ctx context.Context) ([]plan.Outcome, error) {
	drafts := b.drafts()
	err := parallel(ctx, drafts, func(ctx context.Context, d *draft) error { return b.compare(ctx, d) })
	if err != nil {
		return nil, err
	}
	if err := b.findMoved(drafts); err != nil {
		return nil, err
	}
	outcomes := make([]plan.Outcome, len(drafts))
	at := make(map[*draft]int, len(drafts))
	for i, d := range drafts {
		at[d] = i
	}
	err = parallel(ctx, drafts, func(ctx context.Context, d *draft) error {
		o, err := b.build(ctx, d, at[d])
		outcomes[at[d]] = o
		return err
	})
	return outcomes, err
}

// drafts are all partitions that have new rows or published ones, by path.
func (b *builder) drafts() (drafts []*draft) {
	staged := b.staging.Partitions()
	known := make(map[string]bool, len(staged))
	for _, p := range staged {
		known[p.Partition.Path] = true
		d := &draft{path: p.Partition.Path, staged: p}
		d.in, d.old, _ = b.published(d.path)
		drafts = append(drafts, d)
	}
	for _, path := range plan.Partitions(b.prior) {
		if !known[path] {
			d := &draft{path: path}
			d.in, d.old, _ = b.published(path)
			drafts = append(drafts, d)
		}
	}
	slices.SortFunc(drafts, func(a, b *draft) int { return cmp.Compare(a.path, b.path) })
	return drafts
}

func (b *builder) compare(ctx context.Context, d *draft) error {
	switch {
	case d.in == "":
		d.diff.Added = d.staged.Rows
		return nil
	case d.staged.Content == d.old.Content && d.staged.Rows == d.old.Rows:
		d.diff.Unchanged = d.staged.Rows
		return nil
	}
	err := b.withPublished(ctx, d, func(published sink.Rows) (err error) {
		d.diff, err = transform.Compare(b.job.Table, b.staging.Rows(d.path), published)
		return err
	})
	return err
}

// findMoved finds the published rows whose events are in another partition now,
// because their time or type has changed: they leave the old one.
func (b *builder) findMoved(drafts []*draft) error {
	missing := make(transform.IDs)
	for _, d := range drafts {
		for id := range d.diff.Missing {
			missing[id] = struct{}{}
		}
	}
	if len(missing) == 0 {
		return nil
	}
	moved := make(transform.IDs)
	for _, d := range drafts {
		if d.diff.Added == 0 {
			continue
		}
		found, err := missing.Intersect(b.job.Table, b.staging.Rows(d.path))
		if err != nil {
			return err
		}
		for id := range found {
			moved[id] = struct{}{}
		}
	}
	for _, d := range drafts {
		for id := range d.diff.Missing {
			if _, ok := moved[id]; ok {
				if d.removed == nil {
					d.removed = make(transform.IDs)
				}
				d.removed[id] = struct{}{}
			}
		}
		d.diff.Missing = nil
	}
	return nil
}

// build makes the partition's file, when any sink needs it, and has the second
// reader prove it.
func (b *builder) build(ctx context.Context, d *draft, number int) (plan.Outcome, error) {
	o := plan.Outcome{Partition: d.path, Rows: d.rows(), Content: d.old.Content}
	if o.Rows.After == 0 {
		return o, nil
	}
	unchanged := o.Rows.Added+o.Rows.Changed+o.Rows.Removed == 0
	if unchanged && !slices.ContainsFunc(b.sinks(), func(sink string) bool {
		return plan.Needs(&b.prior[sink].Sink, d.path, o.Rows.After, o.Content)
	}) {
		return o, nil
	}
	file, err := b.write(ctx, d, filepath.Join(b.dir, fmt.Sprintf("%05d.parquet", number)))
	if err != nil {
		return o, fmt.Errorf("%s, partition %s: %w", b.job.Address, d.path, err)
	}
	o.Content = file.Summary.Content
	if file.Summary.Rows != o.Rows.After || unchanged && o.Content != d.old.Content {
		return o, fmt.Errorf("%s, partition %s: %d rows were to be written, but %d were; nothing was published, and this is a bug of prospector",
			b.job.Address, d.path, o.Rows.After, file.Summary.Rows)
	}
	o.Staged = &plan.Staged{Path: file.Path, Rows: file.Summary.Rows, Content: file.Summary.Content, Size: file.Size, CRC32C: file.CRC32C}
	return o, nil
}

func (b *builder) write(ctx context.Context, d *draft, path string) (file sink.File, err error) {
	options := sink.WriteOptions{Job: b.job.Name, Compression: string(b.job.Compression)}
	fresh := b.staging.Rows(d.path)
	if d.in == "" {
		file, err = sink.Write(ctx, path, b.job.Table, options, fresh)
	} else {
		replaced, collectErr := transform.CollectIDs(b.job.Table, fresh)
		if collectErr != nil {
			return file, collectErr
		}
		err = b.withPublished(ctx, d, func(published sink.Rows) (err error) {
			kept := transform.Without(b.job.Table, published, replaced, d.removed)
			file, err = sink.Write(ctx, path, b.job.Table, options, sink.Merge(b.job.Table, fresh, kept))
			return err
		})
	}
	if err != nil {
		return file, err
	}
	return file, b.verify(ctx, d.path, file)
}

// verify has a Parquet reader that shares no code with the writer read the file.
func (b *builder) verify(ctx context.Context, path string, file sink.File) error {
	partition, err := sink.ParsePartition(b.job.Table, path)
	if err != nil {
		return err
	}
	f, err := os.Open(file.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := b.session.verify(ctx, f, file.Size, b.job.Table, partition, file.Summary); err != nil {
		return fmt.Errorf("the second reader does not find in the staged file what was written, so it was not published: %w", err)
	}
	return nil
}

// withPublished reads a partition's published rows.
func (b *builder) withPublished(ctx context.Context, d *draft, use func(sink.Rows) error) error {
	from := b.session.stores[d.in]
	err := func() error {
		r, err := from.Open(ctx, d.old.Object.Key)
		if err != nil {
			return err
		}
		defer r.Close()
		if at, ok := r.(io.ReaderAt); ok {
			return use(sink.Read(ctx, at, d.old.Object.Size, b.job.Table))
		}
		temp, err := b.download(r, d.old.Object)
		if err != nil {
			return err
		}
		defer temp.Close()
		return use(sink.Read(ctx, temp, d.old.Object.Size, b.job.Table))
	}()
	if err != nil {
		return fmt.Errorf("reading the published file %s: %w", from.URI(d.old.Object.Key), err)
	}
	return nil
}

// download copies an object to where it can be read at random, as Parquet needs
// it. The file is gone when it is closed.
func (b *builder) download(r io.Reader, object state.Object) (*os.File, error) {
	temp, err := os.CreateTemp(b.dir, "published-*.parquet")
	if err != nil {
		return nil, err
	}
	size, crc, err := store.ChecksumReader(io.TeeReader(r, temp))
	if err == nil && (size != object.Size || crc != object.CRC32C) {
		err = store.ErrCorrupt
	}
	if err = errors.Join(err, os.Remove(temp.Name())); err != nil {
		return nil, errors.Join(err, temp.Close())
	}
	return temp, nil
}

// parallel calls f for every item, on as many cores as there are.
func parallel[T any](ctx context.Context, items []T, f func(context.Context, T) error) error {
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for _, item := range items {
		group.Go(func() error {
			if err := context.Cause(groupCtx); err != nil {
				return err
			}
			return f(groupCtx, item)
		})
	}
	return group.Wait()
}

func failureList(r *reading) string {
	var lines []string
	for _, f := range r.failures {
		lines = append(lines, fmt.Sprintf("  prospect %s: %v", f.prospect, f.err))
	}
	c := r.coverage
	if more := c.Partial + c.NotFound + c.Forbidden + c.Failed - int64(len(r.failures)); more > 0 {
		lines = append(lines, fmt.Sprintf("  … and %d more", more))
	}
	return strings.Join(lines, "\n")
}

// readWarnings tells what the reading met with.
func readWarnings(job jobs.Job, from *source, r *reading) (warnings jobs.Diagnostics) {
	warn := func(summary, detail string) {
		warnings = append(warnings, jobs.Diagnostic{Severity: jobs.Warning, Address: job.Address, Summary: summary, Detail: detail})
	}
	c := r.coverage
	if n := c.Partial + c.NotFound + c.Forbidden + c.Failed; n > 0 {
		warn(fmt.Sprintf("%d of %d prospects could not be read whole", n, c.Prospects),
			failureList(r)+"\n\nWhat is published of them stays as it is. The next run asks for them again.")
	}
	if n := r.books.Quarantined; n > 0 {
		warn(fmt.Sprintf("%d events cannot become rows", n),
			"They go to the quarantine beside the table, each with its reason.")
	}
	if n := r.books.Tied; n > 0 {
		warn(fmt.Sprintf("%d events share their prospect, type and creation time with another", n),
			"They differ otherwise, so each of them is a row; their ids tell them apart by time and content.")
	}
	if n := r.books.NaiveTimes; n > 0 {
		warn(fmt.Sprintf("%d times have no offset", n), "They are taken for UTC.")
	}
	if from.twice > 0 {
		warn(fmt.Sprintf("%d prospects are listed more than once", from.twice), "Each is read once.")
	}
	return warnings
}

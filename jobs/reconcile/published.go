package reconcile

import (
	"context"
	"fmt"

	"github.com/apache/arrow/go/v15/arrow"

	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/jobs/state"
	"prospector/schemas"
	"prospector/schemas/records"
	"prospector/sink/parquetfile"
	"prospector/sink/store"
)

// Published gives access to the published files of a table.
type Published struct {
	// Sinks are the addresses of the table's sinks, in the order of the job.
	Sinks []string
	// Prior is what each sink holds, and Stores are the sinks' stores, by address.
	Prior  map[string]*plan.Refreshed
	Stores map[string]store.Store
	// Dir is where copies of remote files go while they are read.
	Dir string
	// Downloads is how many files of each sink are downloaded at a time.
	Downloads int

	ahead *store.Ahead // nil opens nothing in advance
}

// Ahead returns a Published that opens files before their rows are needed. It opens the
// files of partitions in the order of their paths; Find knows where. The caller closes
// the Ahead when it has read the rows.
func (p Published) Ahead(ctx context.Context, paths []string) (Published, *store.Ahead) {
	var files []store.Located
	for _, path := range paths {
		in, found, _ := p.Find(path)
		for _, f := range found.Files {
			files = append(files, store.Located{From: p.Stores[in], Object: f.Stored()})
		}
	}
	p.ahead = store.OpenAhead(ctx, p.Dir, p.Downloads, files)
	return p, p.ahead
}

// OpenFile opens a file in a sink for random access.
func (p Published) OpenFile(ctx context.Context, sink string, f state.File) (file store.File, err error) {
	from := p.Stores[sink]
	if p.ahead == nil {
		file, err = store.OpenFile(ctx, from, f.Stored(), p.Dir)
	} else {
		file, err = p.ahead.Open(ctx, store.Located{From: from, Object: f.Stored()})
	}
	if err != nil {
		err = fmt.Errorf("reading the published file %s: %w", from.URI(f.Key), err)
	}
	return file, err
}

// Find returns the published partition with a path, and the sink to read it from: see
// plan.Published.
func (p Published) Find(path string) (sink string, found state.Partition, ok bool) {
	return plan.Published(p.Sinks, p.Prior, path)
}

// Rows returns the rows of files in a sink, one file after the other. It opens each
// file when its rows are needed.
func (p Published) Rows(ctx context.Context, sink string, files []state.File, table schemas.Table) records.Rows {
	return func(yield func(arrow.Record, error) bool) {
		for _, f := range files {
			if !p.readFile(ctx, sink, f, table, yield) {
				return
			}
		}
	}
}

// readFile passes the rows of a file to yield. It returns false if yield or an error
// ended the stream.
func (p Published) readFile(ctx context.Context, sink string, f state.File, table schemas.Table, yield func(arrow.Record, error) bool) bool {
	r, err := p.OpenFile(ctx, sink, f)
	if err != nil {
		yield(nil, err)
		return false
	}
	defer r.Close()
	for batch, err := range parquetfile.Read(ctx, r, f.Size, table) {
		if err != nil {
			err = fmt.Errorf("reading the published file %s: %w", p.Stores[sink].URI(f.Key), err)
		}
		if !yield(batch, err) || err != nil {
			return false
		}
	}
	return true
}

// PublishedSchema returns the schema of published files.
func PublishedSchema(block jobs.Block, owned *state.Job, fingerprint string) (schemas.Table, error) {
	if t, ok := owned.Schemas[fingerprint]; ok {
		return t, nil
	}
	return schemas.Table{}, block.Diagnose("table", "The columns of the published table are unknown",
		fmt.Sprintf("The state names the schema %s of the table, but does not describe it, so its files cannot be read. Set another table name in the job, or start over:\n\n    prospector destroy -target=%s",
			fingerprint, block.Address))
}

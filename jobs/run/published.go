package run

import (
	"context"
	"fmt"

	"github.com/apache/arrow/go/v15/arrow"

	"prospector/jobs/state"
	"prospector/schemas"
	"prospector/schemas/records"
	"prospector/sink/parquetfile"
	"prospector/sink/store"
)

// readPublished gives the rows of published files, one after the other. Each is
// opened when it is its turn.
func readPublished(ctx context.Context, from store.Store, files []state.File, table schemas.Table, dir string) records.Rows {
	return func(yield func(arrow.Record, error) bool) {
		for _, f := range files {
			if !readFile(ctx, from, f, table, dir, yield) {
				return
			}
		}
	}
}

// readFile reports whether more is wanted.
func readFile(ctx context.Context, from store.Store, f state.File, table schemas.Table, dir string, yield func(arrow.Record, error) bool) bool {
	r, err := store.OpenFile(ctx, from, f.Stored(), dir)
	if err != nil {
		yield(nil, fmt.Errorf("reading the published file %s: %w", from.URI(f.Key), err))
		return false
	}
	defer r.Close()
	for batch, err := range parquetfile.Read(ctx, r, f.Size, table) {
		if err != nil {
			err = fmt.Errorf("reading the published file %s: %w", from.URI(f.Key), err)
		}
		if !yield(batch, err) || err != nil {
			return false
		}
	}
	return true
}

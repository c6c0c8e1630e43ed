package reconcile

import (
	"context"
	"io"
	"os"

	"prospector/jobs/plan"
	"prospector/jobs/state"
	"prospector/schemas"
	"prospector/schemas/records"
	"prospector/sink"
	"prospector/sink/parquetfile"
)

// FileBuilder builds the files of partitions, and checks each with the second reader.
type FileBuilder struct {
	// Verify re-reads a file with a reader that shares no code with the writer. It
	// returns an error if the file does not have what was written: see verify.Check.
	Verify func(context.Context, io.ReaderAt, int64, schemas.Table, sink.Partition, sink.Summary) error
	// Rejected keeps the files that Verify rejects.
	Rejected *RejectedFiles
}

// Files are the files that were built for a partition.
type Files struct {
	files   []sink.File
	Rows    int64
	Content schemas.Digest // of all rows
}

// Build writes the rows of a partition to files whose paths begin with stem, and
// checks them. The error is a *Rejection if the second reader rejects one of them.
func (b *FileBuilder) Build(ctx context.Context, stem, path string, table schemas.Table, o parquetfile.Options, rows records.Rows) (built Files, err error) {
	partition, err := sink.ParsePartition(table, path)
	if err != nil {
		return built, err
	}
	if built.files, err = parquetfile.Write(ctx, stem, table, o, rows); err != nil {
		return built, err
	}
	for _, f := range built.files {
		if err := b.check(ctx, table, partition, f); err != nil {
			return built, err
		}
		built.Rows, built.Content = built.Rows+f.Summary.Rows, built.Content.Add(f.Summary.Content)
	}
	return built, nil
}

func (b *FileBuilder) check(ctx context.Context, table schemas.Table, partition sink.Partition, file sink.File) error {
	f, err := os.Open(file.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := b.Verify(ctx, f, file.Size, table, partition, file.Summary); err != nil {
		return b.Rejected.reject(file, err)
	}
	return nil
}

// Staged describes the files for a plan. schema is the fingerprint of their schema.
func (f Files) Staged(schema string) (staged []*plan.Staged) {
	for _, f := range f.files {
		staged = append(staged, &plan.Staged{
			Path: f.Path, SchemaFingerprint: schema, Rows: f.Summary.Rows, Content: f.Summary.Content, Size: f.Size, CRC32C: f.CRC32C,
			Days: &state.Days{First: f.FirstDay, Last: f.LastDay},
		})
	}
	return staged
}

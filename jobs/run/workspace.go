package run

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path"
	"path/filepath"
	"time"

	"prospector/extract/spool"
	"prospector/internal/nolink"
	"prospector/jobs"
	"prospector/jobs/read"
	"prospector/jobs/reconcile"
	"prospector/sink/verify"
)

// The directories in the data directory.
const (
	stagesDir   = "stage"
	journalsDir = "journal"
	rejectedDir = "rejected" // files that the second reader has rejected
)

// UploadsDir is the directory in the data directory for unfinished uploads:
// store.Access.Uploads.
const UploadsDir = "uploads"

// workspace manages the files of one run in the data directory: staged files until the
// run ends, and journals of pages until their pages are published.
type workspace struct {
	path string // of the data directory
	dir  *nolink.Dir
	run  string // the ID of the run
	now  func() time.Time
	// closers are closed before the staged files are deleted.
	closers []io.Closer
	// journals are the journals that the run has opened, by their paths in the data
	// directory. They are deleted at the end, unless keepJournals is set.
	journals     []string
	keepJournals bool
}

// openWorkspace opens the data directory for a run, and deletes the staged files of
// killed runs.
func openWorkspace(root, path, run string, now func() time.Time) (*workspace, error) {
	dir, err := MakeDataDir(root, path)
	if err != nil {
		return nil, err
	}
	if err := dir.RemoveAll(stagesDir); err != nil {
		return nil, errors.Join(fmt.Errorf("deleting the staged files of an earlier run: %w", err), dir.Close())
	}
	return &workspace{path: path, dir: dir, run: run, now: now, keepJournals: true}, nil
}

// MakeDataDir creates and opens the data directory that Options describes.
func MakeDataDir(root, dir string) (*nolink.Dir, error) {
	root = cmp.Or(root, filepath.Dir(dir))
	rel, err := filepath.Rel(root, dir)
	var made *nolink.Dir
	if err == nil {
		made, err = nolink.MakePrivate(root, filepath.ToSlash(rel))
	}
	if link, ok := errors.AsType[*nolink.LinkError](err); ok {
		return nil, jobs.Diagnostic{Severity: jobs.Error, Summary: "The data directory is a symbolic link",
			Detail: link.Error() + ". To keep prospector's own files elsewhere, set PROSPECTOR_DATA_DIR to that directory."}
	}
	if err != nil {
		return nil, fmt.Errorf("creating the data directory: %w", err)
	}
	return made, nil
}

// stageDir is the directory of the run's staged files. Each run has its own, so that
// a run that has lost its lock does not delete the files of the next one.
func (w *workspace) stageDir() string { return filepath.Join(w.path, stagesDir, w.run) }

// makeStageDir creates a directory in stageDir, or stageDir itself if the name is "",
// and returns its path.
func (w *workspace) makeStageDir(name string) (string, error) {
	made, err := w.dir.Make(path.Join(stagesDir, w.run, name), true)
	if err != nil {
		return "", fmt.Errorf("creating the staging directory: %w", err)
	}
	return filepath.Join(w.stageDir(), name), made.Close()
}

// openJournal opens the journal of a job's pages.
func (w *workspace) openJournal(job jobs.Job, binding string) (*spool.Journal, error) {
	name := path.Join(journalsDir, fileName(job.Address))
	parent, err := w.dir.Make(journalsDir, true)
	if err != nil {
		return nil, fmt.Errorf("creating the directory of page journals: %w", err)
	}
	parent.Close()
	w.journals = append(w.journals, name)
	dir := filepath.Join(w.path, name)
	journal, err := spool.Open(dir, binding, read.JournalAge, w.now)
	if err != nil && !errors.Is(err, spool.ErrLocked) {
		return nil, job.Diagnose("", "The journal of pages cannot be used", fmt.Sprintf(
			"%s.\n\nThe journal has pages of an interrupted run, so that they are not requested again. If it cannot be repaired, remove it:\n\n    %s", err, dir))
	}
	return journal, err
}

// fileName returns a file name for an address. The name of a table would not be
// unique, since two jobs may write tables of the same name to different sinks.
func fileName(address string) string { return url.PathEscape(address) }

// fileBuilder returns a builder of staged files. The files that its second reader
// rejects are moved out of the staging directory.
func (w *workspace) fileBuilder() *reconcile.FileBuilder {
	return &reconcile.FileBuilder{
		Verify:   verify.Check,
		Rejected: reconcile.NewRejectedFiles(w.dir, w.path, path.Join(stagesDir, w.run), rejectedDir),
	}
}

// closeLater closes c before the staged files are deleted.
func (w *workspace) closeLater(c io.Closer) { w.closers = append(w.closers, c) }

// close deletes the staged files and the journals that are no longer needed.
func (w *workspace) close() error {
	var errs []error
	for _, c := range w.closers {
		errs = append(errs, c.Close())
	}
	errs = append(errs, w.dir.RemoveAll(path.Join(stagesDir, w.run)))
	_ = w.dir.RemoveDir(stagesDir) // unless another run has files there
	if !w.keepJournals {
		for _, dir := range w.journals {
			errs = append(errs, w.dir.RemoveAll(dir))
		}
	}
	return errors.Join(append(errs, w.dir.Close())...)
}

package planfile

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"prospector/internal/nolink"
	"prospector/jobs"
	"prospector/jobs/plan"
)

// Write saves a plan and its staged files to the file path. It replaces an
// existing file once the new one is complete. Only the owner can read the file.
func Write(p *plan.Plan, path string) (err error) {
	defer func() {
		if err != nil {
			err = jobs.Diagnostic{Severity: jobs.Error, Summary: "The plan could not be saved", Detail: fmt.Sprintf("Writing %s: %s.", path, err)}
		}
	}()
	dir, name, err := openDir(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	temporary := "." + name + "." + rand.Text()
	f, err := dir.Create(temporary)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, dir.Remove(temporary))
		}
	}()
	err = encode(f, p, func(path string) (io.ReadCloser, error) { return os.Open(path) })
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return dir.Rename(temporary, dir, name)
}

// CheckWritable returns an error if Write cannot create a file at the path.
func CheckWritable(path string) error {
	if strings.HasSuffix(path, string(filepath.Separator)) {
		return errors.New("it is the name of a directory")
	}
	dir, name, err := openDir(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	probe := "." + name + "." + rand.Text()
	f, err := dir.Create(probe)
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), dir.Remove(probe))
}

// openDir opens the directory of a path. It returns an error if the path is a
// symbolic link.
func openDir(path string) (dir *nolink.Dir, name string, err error) {
	if dir, err = nolink.Open(filepath.Dir(path)); err != nil {
		return nil, "", err
	}
	name = filepath.Base(path)
	if _, err := dir.Regular(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		dir.Close()
		return nil, "", err
	}
	return dir, name, nil
}

// Read reads a saved plan without its staged files, to show it.
func Read(path string) (*plan.Plan, error) {
	return open(path, func(*file) error { return nil })
}

// open reads a saved plan, and calls use while the file is open.
func open(path string, use func(*file) error) (*plan.Plan, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, jobs.Diagnostic{Severity: jobs.Error, Summary: "There is no such plan",
			Detail: fmt.Sprintf("The file %s does not exist. To save a plan, run prospector plan -out=FILE.", path)}
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	saved, err := decode(f, info.Size())
	if err == nil {
		err = use(saved)
	}
	var d jobs.Diagnostic
	switch {
	case errors.As(err, &d):
		return nil, d
	case err != nil:
		return nil, jobs.Diagnostic{Severity: jobs.Error, Summary: "The plan cannot be used",
			Detail: fmt.Sprintf("Reading %s: %s. To create a new plan, run prospector plan -out=FILE.", path, err)}
	}
	return saved.plan, nil
}

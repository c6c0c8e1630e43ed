package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"unicode/utf8"

	"github.com/zclconf/go-cty/cty"
)

// outside is what the configuration can read from outside: the environment and files.
type outside struct {
	dir     string // of the configuration, absolute
	env     map[string]string
	secrets secretValues
}

// absolute resolves a path of the configuration.
func (o *outside) absolute(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(o.dir, path)
}

// lookupEnv returns the value of an environment variable. It is sensitive if a
// sensitive variable is set from it.
func (o *outside) lookupEnv(name string) (cty.Value, bool) {
	value, ok := o.env[name]
	return o.secrets.guard(name, value), ok
}

// readFile returns the text of a small file. The path is relative to the directory
// of the configuration.
func (o *outside) readFile(path string) (cty.Value, error) {
	src, err := readText(o.absolute(path), maxText)
	if err != nil {
		return cty.NilVal, err
	}
	if !utf8.Valid(src) {
		return cty.NilVal, errors.New("the file is not text in UTF-8")
	}
	return o.secrets.guard("", string(src)), nil
}

// fileExists reports whether readFile finds a regular file.
func (o *outside) fileExists(path string) (bool, error) {
	info, err := os.Stat(o.absolute(path))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return info.Mode().IsRegular(), nil
}

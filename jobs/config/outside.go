package config

import (
	"errors"
	"io/fs"
	"os"
	"unicode/utf8"

	"github.com/zclconf/go-cty/cty"
)

// lookupEnv returns the value of an environment variable. It is sensitive if a
// sensitive variable is set from it.
func (l *loader) lookupEnv(name string) (cty.Value, bool) {
	value, ok := l.env[name]
	return l.secrets.guard(name, value), ok
}

// readFile returns the text of a small file. The path is relative to the directory
// of the configuration.
func (l *loader) readFile(path string) (cty.Value, error) {
	src, err := readText(l.absolute(path), maxText)
	if err != nil {
		return cty.NilVal, err
	}
	if !utf8.Valid(src) {
		return cty.NilVal, errors.New("the file is not text in UTF-8")
	}
	return l.secrets.guard("", string(src)), nil
}

// fileExists reports whether readFile finds a regular file.
func (l *loader) fileExists(path string) (bool, error) {
	info, err := os.Stat(l.absolute(path))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return info.Mode().IsRegular(), nil
}

// Package sealed writes JSON files with a checksum and verifies them, so that programs
// reject damaged files.
//
// A sealed file is one JSON object with the member "checksum". Its value is the
// SHA-256 of the file without insignificant white space and with an empty checksum. The
// checksum depends only on the text of the file, so a program that does not know some
// members can still verify it.
//
// The checksum protects against accidents. It does not protect against people, who can
// compute it as well.
package sealed

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
)

var (
	// ErrMissing reports that a file has no checksum.
	ErrMissing = errors.New("it has no checksum")
	// ErrMismatch reports that a file has changed since it was written.
	ErrMismatch = errors.New("its checksum does not match its content")
)

const (
	empty  = `"checksum":""`
	prefix = "sha256:"
)

// Marshal returns the indented JSON of a value with its checksum. The value
// must be a struct with an empty field for the member "checksum". No other
// member of that name may precede it.
func Marshal(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	before, after, found := bytes.Cut(text, []byte(empty))
	if !found {
		return nil, errors.New("sealing a JSON file: its type has no empty checksum")
	}
	sum := digest(before, after)
	text = bytes.Join([][]byte{before, []byte(`"checksum":"` + sum + `"`), after}, nil)
	var out bytes.Buffer
	if err := json.Indent(&out, text, "", "  "); err != nil {
		return nil, err
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// Verify checks that a file is unchanged since Marshal wrote it, except for
// white space. It returns ErrMissing, ErrMismatch, or the error of a file that
// is not a JSON object.
func Verify(text []byte) error {
	var file struct {
		Checksum *string `json:"checksum"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return err
	}
	if file.Checksum == nil {
		return ErrMissing
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, text); err != nil {
		return err
	}
	before, after, found := bytes.Cut(compact.Bytes(), []byte(`"checksum":"`+*file.Checksum+`"`))
	if !found || digest(before, after) != *file.Checksum {
		return ErrMismatch
	}
	return nil
}

// digest returns the checksum of a file that has the given bytes before and
// after its checksum.
func digest(before, after []byte) string {
	h := sha256.New()
	h.Write(before)
	h.Write([]byte(empty))
	h.Write(after)
	return prefix + hex.EncodeToString(h.Sum(nil))
}

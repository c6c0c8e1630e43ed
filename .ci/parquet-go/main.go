// Command parquet-go prints what github.com/parquet-go/parquet-go reads from a lake,
// in the format of values.py:
//
//	parquet-go TABLE_DIRECTORY
//
// It is built in a module of its own, for each version of that library.
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/parquet-go/parquet-go"
)

func main() {
	log.SetFlags(0)
	t := table{hashes: make(map[string][]string), ids: make(map[string]bool)}
	err := filepath.WalkDir(os.Args[1], func(path string, entry fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".parquet" {
			return err
		}
		if err := t.read(path); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("rows", t.rows, "ids", len(t.ids))
	for _, column := range t.columns {
		all := t.hashes[column]
		slices.Sort(all)
		fmt.Println(column, len(all), hash(strings.Join(all, "")))
	}
}

// table has what was read from all files.
type table struct {
	rows    int
	columns []string
	hashes  map[string][]string // of values, by column
	ids     map[string]bool
}

func (t *table) read(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	file, err := parquet.OpenFile(f, info.Size())
	if err != nil {
		return err
	}
	t.columns = t.columns[:0]
	for _, field := range file.Schema().Fields() {
		t.columns = append(t.columns, field.Name())
	}
	for _, group := range file.RowGroups() {
		if err := t.readGroup(group); err != nil {
			return err
		}
	}
	return nil
}

func (t *table) readGroup(group parquet.RowGroup) error {
	rows := group.Rows()
	defer rows.Close()
	batch := make([]parquet.Row, 256)
	for {
		n, err := rows.ReadRows(batch)
		for _, row := range batch[:n] {
			t.rows++
			for _, value := range row {
				if err := t.add(t.columns[value.Column()], value); err != nil {
					return err
				}
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (t *table) add(column string, value parquet.Value) error {
	if value.IsNull() {
		return nil
	}
	var text string
	switch value.Kind() {
	case parquet.ByteArray:
		text = string(value.ByteArray())
	case parquet.Int64:
		text = strconv.FormatInt(value.Int64(), 10)
	case parquet.Int32:
		text = strconv.FormatInt(int64(value.Int32()), 10)
	case parquet.Boolean:
		text = strconv.FormatBool(value.Boolean())
	default:
		return fmt.Errorf("column %s has the type %s, which is not compared", column, value.Kind())
	}
	if column == "event_id" {
		t.ids[text] = true
	}
	t.hashes[column] = append(t.hashes[column], hash(text))
	return nil
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

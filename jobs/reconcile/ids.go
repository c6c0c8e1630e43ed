package reconcile

import (
	"encoding/binary"
	"iter"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"

	"prospector/internal/spill"
	"prospector/schemas"
	"prospector/schemas/records"
)

// id is the hash of an event_id. Its 128 bits take less memory than the text.
type id schemas.Digest

// idLen is the length of an ID in the key of a spill.Map.
const idLen = 16

// key returns the key of the ID. Keys sort like their IDs.
func (i id) key() string { return string(i.appendKey(nil)) }

func (i id) appendKey(b []byte) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, i.Hi), i.Lo)
}

func parseID(key string) id {
	b := []byte(key[:idLen])
	return id{Hi: binary.BigEndian.Uint64(b), Lo: binary.BigEndian.Uint64(b[8:])}
}

// numberedKey returns the key of an ID with a number, such as that of a row or of a
// partition. The keys of one ID sort by number.
func (i id) numberedKey(number int) string {
	return string(binary.BigEndian.AppendUint64(i.appendKey(make([]byte, 0, idLen+8)), uint64(number)))
}

func keyNumber(key string) int { return int(binary.BigEndian.Uint64([]byte(key[idLen:]))) }

// rowIDs returns the ID of each row of a batch.
func rowIDs(table schemas.Table, batch arrow.Record) []id {
	at := schemas.IndexOf(table.Columns, table.Roles().ID)
	h := schemas.HashValuesOf(table.Columns[at].Name)
	column := batch.Column(at).(*array.String)
	ids := make([]id, column.Len())
	for i := range ids {
		ids[i] = id(h.String(column.Value(i)))
	}
	return ids
}

// idSource is a sequence of IDs.
type idSource struct {
	count int64 // upper bound
	all   iter.Seq2[id, error]
}

// idsOf returns the IDs of rows.
func idsOf(table schemas.Table, rows records.Rows, count int64) idSource {
	return idSource{count, func(yield func(id, error) bool) {
		for batch, err := range rows {
			if err != nil {
				yield(id{}, err)
				return
			}
			for _, i := range rowIDs(table, batch) {
				if !yield(i, nil) {
					return
				}
			}
		}
	}}
}

// idSet is a set of IDs in bounded memory.
type idSet struct {
	ids   *spill.Map
	count int64 // upper bound
}

func (s *idSet) add(i id) error {
	isNew, err := s.ids.Put(i.key(), nil)
	if isNew {
		s.count++
	}
	return err
}

func (s *idSet) source() idSource {
	return idSource{s.count, func(yield func(id, error) bool) {
		for e, err := range s.ids.All() {
			if err != nil {
				yield(id{}, err)
				return
			}
			if !yield(parseID(e.Key), nil) {
				return
			}
		}
	}}
}

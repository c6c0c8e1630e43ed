package lists

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"prospector/jobs/plan"
	"prospector/jobs/state"
	"prospector/sink/store"
)

// Compare compares the prospects that a job reads now with the list of the last apply,
// before, which is nil if there is none. It stages the new list at path if it differs.
//
// inBoth reports whether one of the ids is also in the list before. If that list
// cannot be read, problem says why, and inBoth returns false.
func (l Lists) Compare(ctx context.Context, before *state.ProspectList, ids []string, path string) (list *plan.List, inBoth func(id string) bool, problem, err error) {
	ids = slices.Sorted(slices.Values(ids))
	list = &plan.List{Count: int64(len(ids)), Digest: ProspectsDigest(ids)}
	inBoth = func(string) bool { return list.Known }
	if before != nil && before.Digest == list.Digest {
		list.Known = true
		return list, inBoth, nil, nil
	}
	if before != nil {
		var old []string
		if old, problem = l.Prospects(ctx, *before); problem == nil {
			list.Compare(old, ids)
			inBoth = listedBefore(old, ids)
		}
	}
	staged, err := StageProspects(ids, path)
	if err != nil {
		return nil, nil, nil, err
	}
	list.Staged = staged.Staged
	return list, inBoth, problem, nil
}

// listedBefore returns a function that reports whether one of the ids was in the list
// before. Both lists are sorted. The function holds only the added IDs in memory.
func listedBefore(before, ids []string) func(id string) bool {
	added := make(map[string]bool)
	for _, id := range ids {
		if _, ok := slices.BinarySearch(before, id); !ok {
			added[id] = true
		}
	}
	return func(id string) bool { return !added[id] }
}

// StageProspects writes a sorted list of prospects to path, one JSON string per line.
func StageProspects(ids []string, path string) (*plan.List, error) {
	var text bytes.Buffer
	for _, id := range ids {
		line, err := json.Marshal(id)
		if err != nil {
			return nil, err
		}
		text.Write(append(line, '\n'))
	}
	staged, err := stage(text.Bytes(), int64(len(ids)), path)
	if err != nil {
		return nil, err
	}
	return &plan.List{Count: staged.Rows, Digest: ProspectsDigest(ids), Staged: staged}, nil
}

// ProspectsDigest identifies a sorted list of prospects.
func ProspectsDigest(ids []string) string {
	h := sha256.New()
	for _, id := range ids {
		fmt.Fprintf(h, "%q\n", id)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// maxID is the most bytes in a line of the list. IDs are far shorter.
const maxID = 64 << 10

// maxReads is how often Prospects reads a list whose bytes change on the way.
const maxReads = 3

// Prospects reads a list of prospects that the state names.
func (l Lists) Prospects(ctx context.Context, named state.ProspectList) (ids []string, err error) {
	for range maxReads {
		ids, err = l.prospects(ctx, named)
		switch {
		case err == nil, errors.Is(err, store.ErrNotExist):
			return ids, err
		case ctx.Err() != nil, errors.Is(err, context.DeadlineExceeded): // the store has tried for long
			return nil, err
		}
	}
	return ids, err
}

func (l Lists) prospects(ctx context.Context, named state.ProspectList) (ids []string, err error) {
	r, err := l.files.Open(ctx, named.Key)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	for d := json.NewDecoder(bufio.NewReader(io.LimitReader(r, named.Count*maxID))); ; {
		var id string
		switch err := d.Decode(&id); {
		case errors.Is(err, io.EOF) && ProspectsDigest(ids) != named.Digest:
			return nil, fmt.Errorf("%s is damaged: it is not the list that the state names", l.files.URI(named.Key))
		case errors.Is(err, io.EOF):
			return ids, nil
		case err != nil:
			return nil, fmt.Errorf("%s is damaged: %w", l.files.URI(named.Key), err)
		}
		ids = append(ids, id)
	}
}

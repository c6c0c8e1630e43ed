package run

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
	"os"
	"slices"

	"prospector/extract/prospect"
	"prospector/jobs"
	"prospector/jobs/plan"
	"prospector/jobs/state"
	"prospector/sink/store"
)

// loadProspects reads a list of prospects, and counts the repeated IDs in it.
func (s *Session) loadProspects(from jobs.Prospects) (ids []string, twice int, err error) {
	options := prospect.Options{Column: from.Column, Header: from.Header, Encoding: from.Encoding}
	for _, r := range from.Delimiter { // one at most
		options.Delimiter = r
	}
	list, err := prospect.Load(from.File, options, s.Stdin)
	if err == nil {
		return list.IDs, list.Duplicates, nil
	}
	attribute, summary := "file", "Prospects cannot be read"
	switch {
	case errors.Is(err, prospect.ErrColumn):
		attribute = "column"
	case errors.Is(err, prospect.ErrHeader):
		attribute = "header"
	}
	if errors.Is(err, prospect.ErrEmpty) {
		summary = "No prospects"
	}
	return nil, 0, from.Diagnose(attribute, summary, err.Error()+".")
}

// The list of prospects that the last apply read is kept next to the state, one
// JSON string a line, ascending. It only shows how the list changes, so a run goes
// on without it.

// prospectList compares a job's list of prospects with that of the last apply,
// and writes it to path if it has changed. known reports whether the last apply had a
// prospect in its list, as far as that list can be read.
func (w *planning) prospectList(ctx context.Context, job jobs.Job, into *plan.Job, ids []string, path string) (known func(string) bool, err error) {
	ids = slices.Sorted(slices.Values(ids))
	list := &plan.List{Count: int64(len(ids)), Digest: listDigest(ids)}
	into.Source.Reading.List = list
	known = func(string) bool { return list.Known }
	if owned := w.prior.Jobs[job.Address]; owned != nil && owned.Prospects != nil {
		if owned.Prospects.Digest == list.Digest {
			list.Known = true
			return known, nil
		}
		before, err := w.publishedList(ctx, *owned.Prospects)
		if err != nil {
			into.Problems.Warnings = append(into.Problems.Warnings, jobs.Diagnostic{Severity: jobs.Warning, Address: job.Address, Summary: "The previous list of prospects cannot be read",
				Detail: fmt.Sprintf("So the plan does not show which prospects are new in the list: %s. The next apply replaces the list.", err)})
		} else {
			list.Compare(before, ids)
			known = listedIn(before, ids)
		}
	}
	staged, err := stageList(ids, path)
	if err == nil {
		list.Staged = staged.Staged
	}
	return known, err
}

// listedIn reports which of the ids were in the list before; both are sorted. It
// only holds the new ones.
func listedIn(before, ids []string) func(id string) bool {
	added := make(map[string]bool)
	for _, id := range ids {
		if _, ok := slices.BinarySearch(before, id); !ok {
			added[id] = true
		}
	}
	return func(id string) bool { return !added[id] }
}

// stageList writes a sorted list of prospects to path.
func stageList(ids []string, path string) (*plan.List, error) {
	var text bytes.Buffer
	for _, id := range ids {
		line, err := json.Marshal(id)
		if err != nil {
			return nil, err
		}
		text.Write(append(line, '\n'))
	}
	if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
		return nil, fmt.Errorf("staging the list of prospects: %w", err)
	}
	staged := &plan.Staged{Path: path, Rows: int64(len(ids)), Size: int64(text.Len()), CRC32C: store.Checksum(text.Bytes())}
	return &plan.List{Count: int64(len(ids)), Digest: listDigest(ids), Staged: staged}, nil
}

// listDigest identifies a sorted list of ids.
func listDigest(ids []string) string {
	h := sha256.New()
	for _, id := range ids {
		fmt.Fprintf(h, "%q\n", id)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// publishedList reads the list of the last apply.
func (s *Session) publishedList(ctx context.Context, of state.ProspectList) (ids []string, err error) {
	beside, _ := s.Backend.Beside()
	r, err := beside.Open(ctx, of.Key)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	const most = 64 << 10 // bytes that an ID takes
	for d := json.NewDecoder(bufio.NewReader(io.LimitReader(r, of.Count*most))); ; {
		var id string
		switch err := d.Decode(&id); {
		case errors.Is(err, io.EOF) && listDigest(ids) != of.Digest:
			return nil, fmt.Errorf("%s is damaged: it is not the list that the state names", beside.URI(of.Key))
		case errors.Is(err, io.EOF):
			return ids, nil
		case err != nil:
			return nil, fmt.Errorf("%s is damaged: %w", beside.URI(of.Key), err)
		}
		ids = append(ids, id)
	}
}

// The folders of the lists next to the state.
const (
	allLists   = "prospects/" // of the prospects that a job reads
	emptyLists = "empty/"     // of those that returned no event
)

// publishList keeps a new list of a job in a folder next to the state, and gives
// what the state says of it. The list is there before the state names it.
func (s *Session) publishList(ctx context.Context, folder, job, digest string, staged *plan.Staged) (*state.ProspectList, error) {
	beside, prefix := s.Backend.Beside()
	key := prefix + folder + fileName(job) + "-" + digest + ".jsonl"
	f, err := os.Open(staged.Path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	_, err = beside.Put(ctx, key, store.Content{Reader: f, Size: staged.Size, CRC32C: staged.CRC32C, Type: "application/jsonl"}, store.Condition{})
	if err != nil {
		return nil, fmt.Errorf("keeping a list of prospects next to the state: %w", err)
	}
	return &state.ProspectList{Count: staged.Rows, Digest: digest, Key: key}, nil
}

// dropList deletes a list that the state no longer names. One that stays is
// only untidy.
func (s *Session) dropList(ctx context.Context, before, after *state.ProspectList) {
	if before == nil || after != nil && after.Key == before.Key {
		return
	}
	beside, _ := s.Backend.Beside()
	if err := beside.Delete(ctx, before.Key, store.Condition{}); err != nil && !errors.Is(err, store.ErrNotExist) {
		s.Logger.WarnContext(ctx, "an old list of prospects cannot be deleted", "why", err)
	}
}

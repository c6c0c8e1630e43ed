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
// and writes it to path if it has changed.
func (w *planning) prospectList(ctx context.Context, job jobs.Job, ids []string, path string) (list *plan.List, warnings jobs.Diagnostics, err error) {
	ids = slices.Sorted(slices.Values(ids))
	list = &plan.List{Count: int64(len(ids)), Digest: listDigest(ids)}
	if owned := w.prior.Jobs[job.Address]; owned != nil && owned.Prospects != nil {
		if owned.Prospects.Digest == list.Digest {
			list.Known = true
			return list, nil, nil
		}
		before, err := w.publishedList(ctx, *owned.Prospects)
		if err != nil {
			warnings = jobs.Diagnostics{{Severity: jobs.Warning, Address: job.Address, Summary: "The previous list of prospects cannot be read",
				Detail: fmt.Sprintf("So the plan does not show which prospects are new in the list: %s. The next apply replaces the list.", err)}}
		} else {
			list.Compare(before, ids)
		}
	}
	staged, err := stageList(ids, path)
	if err == nil {
		list.Staged = staged.Staged
	}
	return list, warnings, err
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

// publishList keeps a new list beside the state, and gives what the state says
// of it. It is there before the state names it.
func (s *Session) publishList(ctx context.Context, job string, list *plan.List) (*state.ProspectList, error) {
	beside, prefix := s.Backend.Beside()
	key := prefix + "prospects/" + fileName(job) + "-" + list.Digest + ".jsonl"
	f, err := os.Open(list.Staged.Path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	_, err = beside.Put(ctx, key, store.Content{Reader: f, Size: list.Staged.Size, CRC32C: list.Staged.CRC32C, Type: "application/jsonl"}, store.Condition{})
	if err != nil {
		return nil, fmt.Errorf("keeping the list of prospects beside the state: %w", err)
	}
	return &state.ProspectList{Count: list.Count, Digest: list.Digest, Key: key}, nil
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

package config

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"prospector/jobs"
)

// stateFile is where the state is kept unless the configuration says otherwise.
const stateFile = "prospector.state.json"

// settings reads the prospector block, which may be missing.
func (l *loader) settings(blocks []*hcl.Block, into *jobs.Configuration) {
	backend := &into.Backend
	*backend = jobs.Backend{Block: jobs.Block{Address: "backend.local"}, Kind: "local", Path: l.absolute(stateFile)}
	into.MemoryLimit = jobs.DefaultMemoryLimit
	if len(blocks) == 0 {
		return
	}
	for _, extra := range blocks[1:] {
		l.fail(extra.DefRange, "prospector", "Duplicate declaration", fmt.Sprintf("The prospector block is declared already, at %s:%d. Make one of the two.",
			blocks[0].DefRange.Filename, blocks[0].DefRange.Start.Line))
	}
	b := l.open(blocks[0], "prospector", []string{"required_version", "memory_limit"}, hcl.BlockHeaderSchema{Type: "backend", LabelNames: []string{"type"}})
	var constraint string
	if b.text("required_version", &constraint) {
		ok, err := satisfies(jobs.Version, constraint)
		switch {
		case err != nil:
			b.fail("required_version", "Invalid version constraint", b.quote("required_version", err.Error())+
				`. A constraint is one or more, separated by commas, of an operator (=, !=, >, >=, <, <=, ~>) and a version, such as ">= 0.1.0".`)
		case !ok:
			b.fail("required_version", "Unsupported prospector version", fmt.Sprintf(
				"The configuration requires %s, and this is prospector %s. Use another prospector, or, if you are sure, change the constraint.",
				b.quote("required_version", fmt.Sprintf("%q", constraint)), jobs.Version))
		}
	}
	b.size("memory_limit", 64<<20, 1<<40, &into.MemoryLimit)
	for i, hb := range b.blocks {
		if i > 0 {
			l.fail(hb.DefRange, "prospector", "Duplicate declaration", fmt.Sprintf("A backend is declared already, at %s:%d. The state has one place.",
				b.blocks[0].DefRange.Filename, b.blocks[0].DefRange.Start.Line))
			continue
		}
		switch kind := hb.Labels[0]; kind {
		case "local":
			local := l.open(hb, "backend.local", []string{"path"})
			local.path("path", &backend.Path)
			backend.Block = local.Block
		case "gcs":
			remote := l.open(hb, "backend.gcs", []string{"bucket", "prefix"})
			remote.require(map[string]string{"bucket": `the name of a bucket, such as "acme-state"`})
			*backend = jobs.Backend{Block: remote.Block, Kind: "gcs"}
			remote.bucket(&backend.Bucket)
			remote.prefix(&backend.Prefix)
		default:
			l.fail(hb.LabelRanges[0], "backend."+kind, "Unknown backend type", fmt.Sprintf(`There is no backend of type %q, only "local" and "gcs".%s`,
				kind, didYouMean(nearest(kind, []string{"local", "gcs"}))))
		}
	}
}

var versionTerm = regexp.MustCompile(`^(=|!=|>|>=|<|<=|~>)?\s*(\d{1,9})(?:\.(\d{1,9}))?(?:\.(\d{1,9}))?$`)

// satisfies holds a MAJOR.MINOR.PATCH version against a list of constraints.
// "~> 0.1" allows what is below 1.0, "~> 0.1.0" what is below 0.2.0.
func satisfies(version, constraints string) (bool, error) {
	have, _ := parseVersion(strings.Split(version, "."))
	all := true
	for term := range strings.SplitSeq(constraints, ",") {
		m := versionTerm.FindStringSubmatch(strings.TrimSpace(term))
		if m == nil {
			return false, fmt.Errorf("%q is not an operator and a version", strings.TrimSpace(term))
		}
		want, given := parseVersion(m[2:])
		order := slices.Compare(have, want)
		switch m[1] {
		case "", "=":
			all = all && order == 0
		case "!=":
			all = all && order != 0
		case ">":
			all = all && order > 0
		case ">=":
			all = all && order >= 0
		case "<":
			all = all && order < 0
		case "<=":
			all = all && order <= 0
		case "~>":
			fixed := max(given-1, 1)
			all = all && order >= 0 && slices.Equal(have[:fixed], want[:fixed])
		}
	}
	return all, nil
}

// parseVersion gives three numbers, and how many of them were there.
func parseVersion(parts []string) (numbers []int, given int) {
	numbers = make([]int, 3)
	for i, part := range parts {
		if part != "" {
			numbers[i], _ = strconv.Atoi(part)
			given++
		}
	}
	return numbers, given
}

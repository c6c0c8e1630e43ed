package config

import (
	"cmp"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"prospector/internal/attribute"
	"prospector/jobs"
	"prospector/sink/store"
)

// stateName is the name of the state unless the configuration sets another one.
const stateName = "prospector.state.json"

// settings reads the prospector block, which may be missing.
func (l *loader) settings(blocks []*hcl.Block, into *jobs.Configuration) {
	into.Backend = DefaultBackend(l.dir, l.storeKinds)
	into.MemoryLimit = jobs.DefaultMemoryLimit
	if len(blocks) == 0 {
		return
	}
	for _, extra := range blocks[1:] {
		l.fail(extra.DefRange, "prospector", "Duplicate declaration", fmt.Sprintf("The prospector block is already declared, at %s:%d. Merge the two blocks.",
			blocks[0].DefRange.Filename, blocks[0].DefRange.Start.Line))
	}
	b := l.open(blocks[0], "prospector", []string{"required_version", "memory_limit"}, hcl.BlockHeaderSchema{Type: "backend", LabelNames: []string{"type"}})
	requiredVersion(b)
	b.size("memory_limit", 64<<20, 1<<40, &into.MemoryLimit)
	for i, hb := range b.blocks {
		if i > 0 {
			l.fail(hb.DefRange, "prospector", "Duplicate declaration", fmt.Sprintf("A backend is already declared, at %s:%d. Keep one of the two.",
				b.blocks[0].DefRange.Filename, b.blocks[0].DefRange.Start.Line))
			continue
		}
		l.backend(hb, &into.Backend)
	}
}

// DefaultBackend returns the backend of a configuration without a backend block: a file in
// its directory, whose path is absolute.
func DefaultBackend(dir string, kinds store.Kinds) jobs.Backend {
	i := slices.IndexFunc(kinds, func(k *store.Kind) bool { return k.StatePath != "" })
	if i < 0 {
		return jobs.Backend{}
	}
	b := jobs.Backend{Location: store.Location{Kind: kinds[i], Settings: kinds[i].New()}}
	b.Address = "backend." + kinds[i].Name
	placeState(&b, filepath.Join(dir, stateName))
	return b
}

// backend reads a backend block.
func (l *loader) backend(hb *hcl.Block, into *jobs.Backend) {
	address := "backend." + hb.Labels[0]
	kind := l.storeKind(hb, address)
	if kind == nil {
		return
	}
	*into = jobs.Backend{Location: store.Location{Kind: kind, Settings: kind.New()}}
	attributes := into.Settings.Attributes()
	for i, a := range attributes {
		if a.Name == kind.StatePath {
			attributes[i].Required = "" // see placeState
		}
	}
	b := l.open(hb, address, attribute.Names(attributes))
	b.decode(attributes)
	for _, a := range attributes {
		if !a.Auxiliary && len(b.marks[a.Name]) > 0 {
			b.fail(a.Name, "Sensitive location", fmt.Sprintf(
				"The %s of %s has a sensitive value. The location of the state appears in messages, so it cannot be kept secret. If it is not a secret, use nonsensitive().", a.Name, address))
		}
	}
	into.Block = b.Block
	placeState(into, l.absolute(stateName))
}

// placeState sets the key of a backend, which is stateName unless the kind has a
// StatePath.
func placeState(b *jobs.Backend, stateFile string) {
	b.Key = stateName
	for _, a := range b.Settings.Attributes() {
		if a.Name == b.Kind.StatePath {
			path := a.Value.(*attribute.Path)
			file := cmp.Or(string(*path), stateFile)
			*path, b.Key = attribute.Path(filepath.Dir(file)), filepath.Base(file)
		}
	}
}

// requiredVersion reports that this version of prospector is not one that the
// configuration accepts.
func requiredVersion(b *block) {
	const name = "required_version"
	var constraint string
	if !b.text(name, &constraint) {
		return
	}
	ok, err := satisfies(jobs.Version, constraint)
	switch {
	case err != nil:
		b.fail(name, "Invalid version constraint", b.quote(name, err.Error())+
			`. A constraint is one or more, separated by commas, of an operator (=, !=, >, >=, <, <=, ~>) and a version, such as ">= 0.1.0".`)
	case !ok:
		b.fail(name, "Unsupported prospector version", fmt.Sprintf(
			"The configuration requires %s, and this is prospector %s. Use another version of prospector, or change the constraint if you are sure.",
			b.quote(name, strconv.Quote(constraint)), jobs.Version))
	}
}

var versionTerm = regexp.MustCompile(`^(=|!=|>|>=|<|<=|~>)?\s*(\d{1,9})(?:\.(\d{1,9}))?(?:\.(\d{1,9}))?$`)

// satisfies reports whether a MAJOR.MINOR.PATCH version meets a list of
// constraints. "~> 0.1" allows versions below 1.0, "~> 0.1.0" versions below 0.2.0.
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

// parseVersion returns three numbers, and how many of them were present.
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

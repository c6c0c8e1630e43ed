package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"prospector/extract/knocksim"
	"prospector/internal/attribute"
	"prospector/jobs/config/functions"
	"prospector/jobs/state"
	"prospector/sink/store/gcs"
)

const root = "../.."

// rewrite is the advice for a page that is not up to date.
const rewrite = "rewrite it with: go test ./cmd/prospector -run TestDocs -update"

// TestDocsCommandLine compares docs/cli.md with the program's help.
func TestDocsCommandLine(t *testing.T) {
	dir := t.TempDir()
	help := func(args ...string) string { return succeed(t, dir, args...) }
	overview := help("-help")
	var b strings.Builder
	b.WriteString("# Command-line reference\n\nThis page is the output of `prospector -help`, of every command's `-help`, and of `prospector help TOPIC`.\n" +
		"A test keeps it up to date.\n\n```\n" + overview + "```\n")
	section := func(title, text string) { fmt.Fprintf(&b, "\n## %s\n\n```\n%s```\n", title, text) }
	indented := regexp.MustCompile(`(?m)^ +([a-z][a-z-]*)  +\S`)
	for _, command := range names(indented, overview) {
		text := help(command, "-help")
		section(command, text)
		if strings.Contains(text, "<subcommand>") {
			_, list, _ := strings.Cut(text, "Subcommands:")
			for _, sub := range names(indented, list) {
				section(command+" "+sub, help(command, sub, "-help"))
			}
		}
	}
	topics := regexp.MustCompile(`Help on ([a-z, -]+):`).FindStringSubmatch(overview)
	if topics == nil {
		t.Fatalf("the help lists no topics:\n%s", overview)
	}
	for topic := range strings.SplitSeq(topics[1], ", ") {
		section("help "+topic, help("help", topic))
	}
	page(t, filepath.Join(root, "docs", "cli.md"), b.String())
}

func names(pattern *regexp.Regexp, text string) (out []string) {
	for _, m := range pattern.FindAllStringSubmatch(text, -1) {
		out = append(out, m[1])
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// page compares a page with the text that it should have, or rewrites it.
func page(t *testing.T, path, text string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(normalizedLines(string(old)), normalizedLines(text)); diff != "" {
		t.Errorf("%s differs from what the program prints (-page +program); %s\n%s", path, rewrite, diff)
	}
}

var bytesOfFiles = regexp.MustCompile(`\d+(\.\d+)? [kM]?B\b`)

// normalizedLines splits a page into lines. The size of a compressed file depends on
// the processor, because the compressor has machine code for some processors.
func normalizedLines(text string) []string {
	if runtime.GOARCH != "amd64" {
		text = bytesOfFiles.ReplaceAllString(text, "SIZE")
	}
	return strings.Split(text, "\n")
}

// TestDocsSamples compares the sample outputs in README.md and docs with what the demo
// prints. A sample is the code block after <!-- sample: NAME -->. "…" replaces
// omitted lines.
func TestDocsSamples(t *testing.T) {
	samples := demo(t)
	for _, path := range documents(t) {
		old, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text := sample.ReplaceAllStringFunc(string(old), func(block string) string {
			m := sample.FindStringSubmatch(block)
			output, ok := samples[m[2]]
			if !ok {
				t.Errorf("%s: there is no sample %q", path, m[2])
			}
			delete(samples, m[2])
			return m[1] + output + m[4]
		})
		page(t, path, text)
	}
	for name := range samples {
		t.Errorf("no page shows the sample %q", name)
	}
}

var sample = regexp.MustCompile("(?s)(<!-- sample: ([a-z-]+) -->\n```[a-z]*\n)(.*?)(```\n)")

// documents returns the paths of all pages.
func documents(t *testing.T) (out []string) {
	for _, pattern := range []string{"*.md", "docs/*.md"} {
		paths, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(pattern)))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, paths...)
	}
	return out
}

// demo runs jobs/demo as README.md and docs describe it, and returns the samples by name.
func demo(t *testing.T) map[string]string {
	// The size of a file depends on the length of the commit that it names.
	t.Setenv(buildVariable, strings.Repeat("0", 40))
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	config, err := os.ReadFile(filepath.Join(root, "jobs", "demo", "main.hcl"))
	if err != nil {
		t.Fatal(err)
	}
	demo := string(config)
	edit := func(old, now string) {
		if !strings.Contains(demo, old) {
			t.Fatalf("jobs/demo/main.hcl has no %s", old)
		}
		demo = strings.Replace(demo, old, now, 1)
		write(t, dir, demo)
	}
	run := func(args ...string) string { return succeed(t, dir, args...) }
	shown := func(command, output string, keep ...string) string {
		return prompt(command) + trimmed(strings.ReplaceAll(output, dir, "/…/jobs/demo"), keep...)
	}
	samples := make(map[string]string)

	write(t, dir, demo)
	samples["first-lake"] = trimmed(strings.ReplaceAll(run("apply", "-auto-approve"), dir, "/…/jobs/demo"),
		"Reading|500 prospects \\[", "# job", "event_type=", "events read", "500 prospects\n|requests, |fields", "^Plan:|published", "^Apply complete", "^Outputs|^table|file:|^]")

	infer := regexp.MustCompile(`(?s)# events: \d+\ncolumn "[a-z_]*segments".*?\n}\n`).FindString(run("schema", "infer"))
	if infer == "" {
		t.Fatal("schema infer proposes no column of segments")
	}
	samples["infer"] = infer

	edit(`as_of     = "2022-02-01T00:00:00Z"`, `as_of     = "2022-02-02T00:00:00Z"`)
	lost := filepath.Join(dir, "lake", "prospect_events", "event_type=WEB_MESSAGE", "event_date=2022-01-09", "part-00000.parquet")
	if err := os.Remove(lost); err != nil {
		t.Fatal(err)
	}
	c, stderr := command(t, dir, "plan", "-out=night.plan")
	var stdout strings.Builder
	c.Stdout = &stdout
	if code := exitCode(t, c); code != 0 {
		t.Fatalf("plan exited with %d: %s", code, stderr)
	}
	samples["second-night"] = prompt("plan -out=night.plan") +
		trimmed(strings.ReplaceAll(strings.TrimPrefix(stderr.String(), "\n"), dir, "/…/jobs/demo")+"\n"+stdout.String(),
			"Warning|with job|file:|repairs", "prospects \\[", "# job", "^  ~ event_type=A.*-30 |^  . event_type=W", "events read", "requests, ", "^Plan:", "Saved|protect|exactly|apply night") +
		shown("apply night.plan", run("apply", "night.plan"), "^Apply complete")
	c, stderr = command(t, dir, "apply", "night.plan")
	if code := exitCode(t, c); code != 1 {
		t.Fatalf("applying a plan a second time: exit code %d", code)
	}
	samples["second-night"] += prompt("apply night.plan") + stderr.String()

	edit("sinks  = [sink.local.lake]", "sinks  = [sink.local.lake]\n  schema = schema.prospect_events")
	edit("job \"", "schema \"prospect_events\" {\n  extends = \"knock_events\"\n"+infer[strings.Index(infer, "column"):]+"}\n\njob \"")
	samples["schema-change"] = shown("plan", run("plan"), "# job", "schema:|segments", "^Plan:")
	return samples
}

func prompt(command string) string { return "$ prospector " + command + "\n" }

var durations = regexp.MustCompile(`\b\d+(\.\d+)?m?s\b`)

// trimmed keeps the lines that match a pattern, and marks gaps with "…".
func trimmed(output string, keep ...string) string {
	kept := regexp.MustCompile(strings.Join(keep, "|"))
	var b strings.Builder
	before := "" // the text between the last kept line and this one
	for line := range strings.Lines(durations.ReplaceAllString(output, "150ms")) {
		switch {
		case kept.MatchString(line):
			b.WriteString(before + line)
			before = ""
		case strings.TrimSpace(line) != "":
			before = "…\n"
		case before == "":
			before = "\n"
		}
	}
	return strings.TrimPrefix(b.String(), "\n")
}

// TestDocsLinks checks that the files and headings that pages link to exist, and the
// files that they name.
func TestDocsLinks(t *testing.T) {
	var (
		link   = regexp.MustCompile(`\]\(([^)\s]+)\)`)
		source = regexp.MustCompile("`([a-z_]+/(?:[a-z_.]+/)*[A-Za-z_.-]+\\.(?:go|hcl|json|md|txt|py|sh|yml))`")
		fenced = regexp.MustCompile("(?s)\n```.*?\n```")
	)
	for _, path := range documents(t) {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text := fenced.ReplaceAllString(string(content), "")
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			target, heading, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			to := path
			if target != "" {
				to = filepath.Join(filepath.Dir(path), filepath.FromSlash(target))
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s links to %s: %v", path, m[1], err)
			} else if heading != "" && !slices.Contains(headings(t, to), heading) {
				t.Errorf("%s links to %s, which has no such heading", path, m[1])
			}
		}
		for _, m := range source.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(m[1]))); err != nil {
				t.Errorf("%s names %s: %v", path, m[1], err)
			}
		}
	}
}

// TestDocsCitations checks that the pages and headings that comments cite exist, such as
// docs/lake-contract.md, "Footers".
func TestDocsCitations(t *testing.T) {
	cited := regexp.MustCompile(`docs/[a-z-]+\.md(?:,\s+(?://\s+)?"([^"]+)")?`)
	for _, path := range sources(t) {
		content, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range cited.FindAllStringSubmatch(string(content), -1) {
			page, _, _ := strings.Cut(m[0], ",")
			text, err := os.ReadFile(filepath.Join(root, page))
			heading := strings.Join(strings.Fields(strings.ReplaceAll(m[1], "//", "")), " ")
			if err != nil {
				t.Errorf("%s cites %s: %v", path, page, err)
			} else if m[1] != "" && !strings.Contains(string(text), "# "+heading) {
				t.Errorf("%s cites %q of %s, which has no such heading", path, heading, page)
			}
		}
	}
}

// headings returns the anchors that GitHub makes of a page's headings.
func headings(t *testing.T, path string) (out []string) {
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	drop := regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	for _, m := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(string(content), -1) {
		out = append(out, strings.ReplaceAll(drop.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-"))
	}
	return out
}

// TestDocsFacts checks facts of the code that pages repeat.
func TestDocsFacts(t *testing.T) {
	text := func(elements ...string) string {
		content, err := os.ReadFile(filepath.Join(append([]string{root}, elements...)...))
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	if want := fmt.Sprintf("JSON, version %d,", state.Version); !strings.Contains(text("docs", "formats.md"), want) {
		t.Errorf("docs/formats.md does not have %q", want)
	}
	if lines := strings.Count(text("README.md"), "\n"); lines > 150 {
		t.Errorf("README.md has %d lines; the limit is 150", lines)
	}
	// CI and newcomers run the same command.
	if test := "\ngo test ./...\n"; !strings.Contains(text("README.md"), test) || !strings.Contains(text(".ci", "run"), test) {
		t.Errorf("README.md and .ci/run do not both have the line %q", strings.TrimSpace(test))
	}
	if key := knocksim.DefaultAPIKey; !strings.Contains(text("docs", "operations.md"), key) {
		t.Errorf("docs/operations.md does not have the simulator's key, %s", key)
	}
	for _, name := range attribute.Names(gcs.Kind.New().Attributes()) {
		if !strings.Contains(text("docs", "gcs.md"), "\n| `"+name+"` | ") {
			t.Errorf("docs/gcs.md does not list the attribute %s", name)
		}
	}
	_, listed, _ := strings.Cut(text("docs", "configuration.md"), "## Functions")
	for name := range functions.All(functions.Outside{}) {
		if !strings.Contains(listed, "`"+name+"`") {
			t.Errorf("docs/configuration.md does not list the function %s", name)
		}
	}
	architecture := text("ARCHITECTURE.md")
	for dir := range goPackages(t) {
		if !strings.Contains(architecture, "`"+dir+"`") {
			t.Errorf("ARCHITECTURE.md does not describe the package %s", dir)
		}
	}
}

// goPackages returns the directories of all packages except those that only tests use.
func goPackages(t *testing.T) map[string]bool {
	out := make(map[string]bool)
	for _, path := range sources(t) {
		dir := filepath.ToSlash(filepath.Dir(path))
		if !strings.HasSuffix(path, "_test.go") && !strings.HasSuffix(dir, "test") {
			out[dir] = true
		}
	}
	return out
}

// sources returns the Go files, relative to the root.
func sources(t *testing.T) (out []string) {
	err := fs.WalkDir(os.DirFS(root), ".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != "." && strings.HasPrefix(entry.Name(), "."):
			return fs.SkipDir
		case strings.HasSuffix(path, ".go"):
			out = append(out, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

package cli

import (
	"encoding/json"
	"flag"
	"fmt"
	"slices"

	"prospector/cmd/internal/view"
	"prospector/jobs"
)

func outputCommand(e *env) *command {
	var v variables
	var asJSON, raw bool
	return &command{
		synopsis: "Show the outputs of the configuration",
		args:     "[NAME]",
		about: `Shows the values of the output blocks, or of the output NAME. They depend only on
the configuration. Sensitive values are never shown.`,
		flags: func(fs *flag.FlagSet) {
			fs.BoolVar(&asJSON, "json", false, "Print as JSON: an object by name, or the value of NAME.")
			fs.BoolVar(&raw, "raw", false, "Print the value of NAME, which is a string, a number or a bool, without quotes.")
			v.register(fs)
		},
		run: func(c *command, args []string) int {
			if len(args) > 1 || raw && (len(args) == 0 || asJSON) {
				return c.usage("takes one name; -raw needs a name and cannot be combined with -json")
			}
			config, ok := e.load(&v)
			if !ok {
				return 1
			}
			err := showOutputs(e, config.Outputs, args, asJSON, raw)
			if err != nil {
				return e.failed(err)
			}
			return 0
		},
	}
}

func showOutputs(e *env, outputs []jobs.Output, args []string, asJSON, raw bool) error {
	if len(args) == 0 {
		if asJSON {
			return e.document(json.MarshalIndent(view.OutputsOf(outputs), "", "  "))
		}
		if len(outputs) == 0 {
			e.view.Diagnostics(jobs.Diagnostics{{Severity: jobs.Warning, Summary: "No outputs", Detail: "The configuration has no output block."}})
		}
		e.view.OutputList(outputs)
		return nil
	}
	i := slices.IndexFunc(outputs, func(o jobs.Output) bool { return o.Name == args[0] })
	if i < 0 {
		return jobs.Diagnostic{Severity: jobs.Error, Summary: "No such output", Detail: fmt.Sprintf("The configuration has no output %q.", args[0])}
	}
	o := outputs[i]
	switch {
	case o.Sensitive:
		return jobs.Diagnostic{Severity: jobs.Error, Summary: "A sensitive output is not shown",
			Detail: fmt.Sprintf("The output %q is sensitive, and prospector never prints sensitive values.", o.Name)}
	case asJSON:
		return e.document(json.Marshal(o.Value))
	case raw:
		switch value := o.Value.(type) {
		case string:
			e.write(value)
			return nil
		case float64, bool:
			e.write(string(view.Literal(value)))
			return nil
		}
		return jobs.Diagnostic{Severity: jobs.Error, Summary: "Not a single value",
			Detail: fmt.Sprintf("-raw prints a string, a number or a bool, but the output %q is none of them. Use -json.", o.Name)}
	}
	e.view.Printf("%s\n", view.Literal(o.Value))
	return nil
}

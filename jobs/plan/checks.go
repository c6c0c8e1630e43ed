package plan

import "prospector/jobs"

// Checks evaluates the declared checks against the results of jobs, by address.
// It skips checks of jobs without a result.
func Checks(declared []jobs.Check, results map[string]jobs.Result) (checks []Check) {
	for _, c := range declared {
		result, ok := results[c.Job]
		if !ok {
			continue
		}
		check := Check{Address: c.Address, Job: c.Job, Severity: c.Severity, Passed: true}
		for _, a := range c.Assertions {
			holds, message, problems := a.Evaluate(result)
			if holds && !problems.HasErrors() {
				continue
			}
			check.Passed = false
			if !problems.HasErrors() {
				origin := a.Origin
				problems = append(problems, jobs.Diagnostic{Summary: "Check failed", Detail: message, Address: c.Address, Origin: &origin})
			}
			for _, d := range problems {
				d.Severity = c.Severity
				check.Problems = append(check.Problems, d)
			}
		}
		checks = append(checks, check)
	}
	return checks
}

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"

	"prospector/sink/store/gcs/gcsfault"
)

// refusal is an answer that some requests always get. The message must have its reason.
type refusal struct {
	status int
	reason string
	kinds  []gcsfault.Kind
}

var writes = []gcsfault.Kind{gcsfault.Upload, gcsfault.Start}

// refusals are from https://cloud.google.com/storage/docs/json_api/v1/status-codes.
var refusals = []refusal{
	{403, "retentionPolicyNotMet", []gcsfault.Kind{gcsfault.Delete}},
	{403, "forbidden", writes},
	{403, "accountDisabled", gcsfault.Kinds},
	{400, "userProjectMissing", gcsfault.Kinds},
	{429, "rateLimitExceeded", writes},
	{503, "backendError", writes},
	{503, "backendError", []gcsfault.Kind{gcsfault.Upload, gcsfault.Send, gcsfault.Query}}, // sessions remain
	{503, "backendError", []gcsfault.Kind{gcsfault.List}},
	{503, "backendError", []gcsfault.Kind{gcsfault.Download}},
	{500, "internalError", []gcsfault.Kind{gcsfault.Delete}},
}

// hostile plays a night in which some requests never succeed. The command must fail with
// the reason of the service. The next run without faults must repair the lake.
func hostile(ctx context.Context, t *trial) error {
	refused := refusals[t.random.IntN(len(refusals))]
	scope, match := drawScope(t.random, refused.kinds)
	started := t.random.IntN(2) == 0 || scope == lakeObjects
	l, err := t.startedLab(ctx, started)
	if err != nil {
		return err
	}
	of := gcsfault.Of(refused.kinds...)
	var met atomic.Int64
	l.proxy.Always(func(r gcsfault.Request) bool {
		if !of(r) || !match(r.Object) {
			return false
		}
		met.Add(1)
		return true
	}, gcsfault.Answer(refused.status, refused.reason))
	l.proxy.Disturb()
	code, printed := l.cloud.run("apply", "-auto-approve")
	t.what = fmt.Sprintf("%d %s, %d times, for %v of %s; %s", refused.status, refused.reason, met.Load(), refused.kinds, scope, t.what)
	if len(refused.kinds) == len(gcsfault.Kinds) {
		t.what = strings.Replace(t.what, fmt.Sprint(refused.kinds), "every request", 1)
	}
	switch {
	case code == 0 && met.Load() > 0:
		return fmt.Errorf("apply exited with code 0:\n%s", indent(printed))
	case code != 0 && met.Load() == 0:
		return fmt.Errorf("apply exited with code %d, although every request could succeed:\n%s", code, indent(printed))
	case code != 0 && !strings.Contains(unwrapped(printed), refused.reason):
		return fmt.Errorf("the message does not have the reason %s:\n%s", refused.reason, indent(printed))
	case strings.Contains(unwrapped(printed), "someone@example.com"):
		return fmt.Errorf("the message has personal data:\n%s", indent(printed))
	}
	return l.repair()
}

// startedLab starts a lab without faults. If started is true, it plays the first night.
// The faults begin with Disturb.
func (t *trial) startedLab(ctx context.Context, started bool) (*lab, error) {
	o := t.draw()
	o.faults.Rate = 0.1
	l, err := t.lab(ctx, o)
	if err != nil {
		return nil, err
	}
	l.proxy.Calm()
	if !started {
		return l, nil
	}
	if err := l.night(); err != nil {
		return nil, err
	}
	l.world.night.Store(1)
	return l, nil
}

// repair applies without faults, and checks the result.
func (l *lab) repair() error {
	l.proxy.Calm()
	if err := l.night(); err != nil {
		return fmt.Errorf("the next run without faults: %w", err)
	}
	return nil
}

// drawScope selects objects that get requests of the kinds: those of the lake, those of
// a part of the lake, or the state.
func drawScope(random *rand.Rand, kinds []gcsfault.Kind) (name string, match func(object string) bool) {
	name = lakeObjects
	if len(kinds) > 1 {
		switch random.IntN(4) {
		case 0:
			return stateObject, func(object string) bool { return object == stateObject }
		case 1:
			name += "event_type=" + types[random.IntN(len(types))]
		}
	}
	return name, func(object string) bool { return strings.HasPrefix(object, name) }
}

// unwrapped joins the lines of a text, which may have been broken anywhere between words.
func unwrapped(text string) string { return strings.Join(strings.Fields(text), " ") }

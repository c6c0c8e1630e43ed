package gcsfault

import (
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strconv"
)

// plan has the faults of one identity. A round is one request with all of its attempts:
// it ends with the first attempt that succeeds.
type plan struct {
	round  int
	begun  bool
	faults []Fault // of the remaining attempts that fail
}

// choose selects the fault of an attempt and counts it.
func (p *Proxy) choose(r Request) Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts.Requests[r.Kind]++
	fault := p.selectFault(r)
	if fault.inject != nil {
		p.counts.Faults[fault.name]++
		p.counts.Disturbed[r.Kind]++
		if p.opts.Log != nil {
			p.opts.Log(r, fault)
		}
	}
	return fault
}

// selectFault returns the fault that the caller of Next or Always wants, or else the one
// that the seed wants.
func (p *Proxy) selectFault(r Request) Fault {
	matches := func(rule rule) bool { return rule.match(r) }
	if i := slices.IndexFunc(p.next, matches); i >= 0 {
		fault := p.next[i].fault
		p.next = slices.Delete(p.next, i, i+1)
		return fault
	}
	if i := slices.IndexFunc(p.always, matches); i >= 0 {
		return p.always[i].fault
	}
	if p.calm {
		return None
	}
	mine, ok := p.plans[r.identity]
	if !ok {
		mine = new(plan)
		p.plans[r.identity] = mine
	}
	if !mine.begun {
		mine.begun, mine.faults = true, p.draw(r, mine.round)
	}
	if len(mine.faults) == 0 {
		mine.begun = false
		mine.round++
		return None
	}
	fault := mine.faults[0]
	mine.faults = mine.faults[1:]
	return fault
}

// draw returns the faults of the attempts of one round. It depends only on the seed and
// on its arguments.
func (p *Proxy) draw(r Request, round int) []Fault {
	h := fnv.New64a()
	h.Write([]byte(r.identity + " " + strconv.Itoa(round)))
	random := rand.New(rand.NewPCG(p.opts.Seed, h.Sum64()))
	rate, ok := p.opts.Rates[r.Kind]
	if !ok {
		rate = p.opts.Rate
	}
	if random.Float64() >= rate {
		return nil
	}
	fitting := make([]Fault, 0, len(p.opts.Faults))
	for _, f := range p.opts.Faults {
		if f.kinds == nil || slices.Contains(f.kinds, r.Kind) {
			fitting = append(fitting, f)
		}
	}
	if len(fitting) == 0 {
		return nil
	}
	faults := make([]Fault, 1+random.IntN(p.opts.InARow))
	burst := random.IntN(2) == 0
	for i := range faults {
		if faults[i] = fitting[random.IntN(len(fitting))]; burst {
			faults[i] = faults[0]
		}
	}
	if i := slices.IndexFunc(faults, Fault.stalls); i >= 0 {
		return slices.Concat(faults[:i+1], slices.DeleteFunc(faults[i+1:], Fault.stalls))
	}
	return faults
}

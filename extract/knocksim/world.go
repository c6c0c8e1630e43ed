package knocksim

import (
	"math/big"
	"math/bits"
	"strconv"
)

// world is the part of a Simulator that determines which prospects exist, and when their
// events happen. Times are microseconds since 1970-01-01 UTC.
//
// The events of a prospect are numbered in the order of their creation. Each Window is
// divided into one slot for each event of the prospect, and event k is created at some
// time in slot k. So the time of an event does not depend on other events, the order is
// correct by construction, and no two events of a prospect have the same creation time.
type world struct {
	seed        uint64
	since, asOf int64
	ids         shuffle
	shares      []uint32 // events in a Window, by prospect
	agents      []string // "username" values

	vendorChanges bool
}

const window = int64(Window / 1000)

// IDs have eight digits, like the documented 47569637.
const (
	firstID = 10_000_000
	idCount = 90_000_000
)

func newWorld(o Options) world {
	w := world{
		seed:   stream(o.Seed, 1),
		since:  o.Since.UnixMicro(),
		asOf:   o.AsOf.UnixMicro(),
		ids:    newShuffle(idCount, stream(o.Seed, 0)),
		shares: shares(o),

		vendorChanges: o.VendorChanges,
	}
	r := rng(w.seed)
	for range 256 {
		w.agents = append(w.agents, uuid(&r))
	}
	return w
}

func (w *world) id(index int) int { return firstID + w.ids.at(index) }

func (w *world) index(id string) (int, bool) {
	if len(id) != 8 {
		return 0, false
	}
	n, err := strconv.ParseUint(id, 10, 32)
	if err != nil || n < firstID {
		return 0, false
	}
	i := w.ids.find(int(n - firstID))
	return i, i < len(w.shares)
}

// shares returns how many events each prospect has in a Window: o.Events in total, in
// inverse proportion to the rank of the prospect. Some prospects have none. One prospect
// in a hundred has a third of all events or more.
func shares(o Options) []uint32 {
	ranks := newShuffle(o.Prospects, stream(o.Seed, 2))
	active := o.Prospects - o.Prospects*8/100
	flat := 1 + uint64(o.Prospects)/2000 // limits the share of the first ranks
	weight := func(rank int) uint64 {
		if rank >= active {
			return 0
		}
		return 1 << 40 / (uint64(rank) + flat)
	}
	var total uint64
	for rank := range active {
		total += weight(rank)
	}
	out := make([]uint32, o.Prospects)
	var sum, given uint64
	for i := range out {
		sum += weight(ranks.at(i))
		hi, lo := bits.Mul64(sum, uint64(o.Events))
		due, _ := bits.Div64(hi, lo, total)
		out[i] = uint32(due - given)
		given = due
	}
	return out
}

// created returns when event k of a prospect was recorded. The random numbers that
// follow in r determine the other properties of the event.
func (w *world) created(prospect uint64, share uint32, k int) (at int64, r rng) {
	r = rng(mix(prospect ^ uint64(k+1)*0xd1342543de82ef95))
	n := int64(share)
	round, j := int64(k)/n, int64(k)%n
	start, end := slot(j, n), slot(j+1, n)
	draw := r.next()
	into, _ := bits.Mul64(draw, uint64(end-start))
	at = start + int64(into)
	at += w.since + round*window
	if draw&31 == 0 { // some clocks have only seconds
		if truncated := at - at%1e6; truncated >= w.since+round*window+start {
			at = truncated
		}
	}
	return at, r
}

// slot returns floor(j × window / n), without overflow.
func slot(j, n int64) int64 { return j*(window/n) + j*(window%n)/n }

// visible returns how many events of a prospect were created before asOf.
func (w *world) visible(index int) int {
	n := uint64(w.shares[index])
	if n == 0 || w.asOf <= w.since {
		return 0
	}
	elapsed := uint64(w.asOf - w.since)
	hi, lo := bits.Mul64(elapsed%uint64(window), n)
	j, _ := bits.Div64(hi, lo, uint64(window))
	k := int(elapsed/uint64(window)*n + j) // asOf is in slot k, or at the start of the next one
	if at, _ := w.created(w.prospectSeed(index), uint32(n), k); at < w.asOf {
		k++
	}
	return k
}

func (w *world) prospectSeed(index int) uint64 { return stream(w.seed, uint64(index)) }

// shuffle is a permutation of 0 to n-1 without a table. Its step is n divided by about the
// golden ratio, so that neighbors are far apart and any range of indices is spread evenly.
type shuffle struct{ n, step, back, offset uint64 }

func newShuffle(n int, offset uint64) shuffle {
	modulus := big.NewInt(int64(n))
	step := int64(float64(n) * 0.6180339887498949)
	back := new(big.Int)
	for back.ModInverse(big.NewInt(step), modulus) == nil {
		step++
	}
	return shuffle{n: uint64(n), step: uint64(step), back: back.Uint64(), offset: offset % uint64(n)}
}

func (s shuffle) at(i int) int { return int((uint64(i)*s.step + s.offset) % s.n) }

func (s shuffle) find(x int) int { return int((uint64(x) + s.n - s.offset) % s.n * s.back % s.n) }

// rng is SplitMix64. It has eight bytes of state, so every event can have its own.
type rng uint64

const golden = 0x9e3779b97f4a7c15

func (r *rng) next() uint64 {
	*r += golden
	return mix(uint64(*r))
}

// below returns a number from 0 to n-1.
func (r *rng) below(n int) int {
	hi, _ := bits.Mul64(r.next(), uint64(n))
	return int(hi)
}

// chance returns true with a probability in percent.
func (r *rng) chance(percent int) bool { return r.below(100) < percent }

// stream returns the start of one of several independent sequences from one seed.
func stream(seed, number uint64) uint64 { return mix(seed + (number+1)*golden) }

func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

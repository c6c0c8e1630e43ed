package transform

import (
	"bytes"
	"math"
	"strconv"
)

// decimal is a number of any size, without loss: 0.DIGITS × 10^point. The digits are those
// of whole, then those of fraction, from the first to the last digit that is not 0. Without
// digits, the number is zero.
type decimal struct {
	negative        bool
	whole, fraction []byte
	first, last     int // indexes of digits; last is the index after the last one
	point           int
}

// parseDecimal parses a number in JSON's grammar (RFC 8259, section 6).
func parseDecimal(s []byte) (d decimal, ok bool) {
	if len(s) > 0 && s[0] == '-' {
		d.negative, s = true, s[1:]
	}
	d.whole, s = cutDigits(s)
	if len(d.whole) == 0 || len(d.whole) > 1 && d.whole[0] == '0' {
		return decimal{}, false
	}
	if len(s) > 0 && s[0] == '.' {
		if d.fraction, s = cutDigits(s[1:]); len(d.fraction) == 0 {
			return decimal{}, false
		}
	}
	exponent := 0
	if len(s) > 0 && (s[0] == 'e' || s[0] == 'E') {
		if exponent, s, ok = cutExponent(s[1:]); !ok {
			return decimal{}, false
		}
	}
	if len(s) > 0 {
		return decimal{}, false
	}
	for d.last = len(d.whole) + len(d.fraction); d.last > 0 && d.digit(d.last-1) == '0'; d.last-- {
	}
	for d.first < d.last && d.digit(d.first) == '0' {
		d.first++
	}
	d.point = len(d.whole) - d.first + exponent
	return d, true
}

func cutDigits(s []byte) (digits, rest []byte) {
	n := 0
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	return s[:n], s[n:]
}

// farthest is an exponent so large that no text has enough digits to offset it.
const farthest = math.MaxInt32

func cutExponent(s []byte) (exponent int, rest []byte, ok bool) {
	negative := false
	if len(s) > 0 && (s[0] == '-' || s[0] == '+') {
		negative, s = s[0] == '-', s[1:]
	}
	digits, rest := cutDigits(s)
	for _, c := range digits {
		exponent = min(exponent*10+int(c-'0'), farthest)
	}
	if negative {
		exponent = -exponent
	}
	return exponent, rest, len(digits) > 0
}

func (d *decimal) digit(i int) byte {
	if i < len(d.whole) {
		return d.whole[i]
	}
	return d.fraction[i-len(d.whole)]
}

// equal reports whether both are the same number. 0 and -0 are different.
func (d *decimal) equal(o *decimal) bool {
	n := d.last - d.first
	if d.negative != o.negative || n != o.last-o.first {
		return false
	}
	for i := range n {
		if d.digit(d.first+i) != o.digit(o.first+i) {
			return false
		}
	}
	return n == 0 || d.point == o.point
}

// int64 returns the number if it is an integer that fits in an int64.
func (d *decimal) int64() (int64, bool) {
	digits := d.last - d.first
	if digits == 0 {
		return 0, true
	}
	if d.point < digits || d.point > 19 { // 2⁶³ has 19 digits
		return 0, false
	}
	var n uint64
	for i := range d.point {
		n *= 10
		if i < digits {
			n += uint64(d.digit(d.first+i) - '0')
		}
	}
	if d.negative {
		return -int64(n), n <= 1<<63
	}
	return int64(n), n <= math.MaxInt64
}

// isInteger reports whether a number is written as an integer that fits in an int64.
func isInteger(text []byte) bool {
	for _, c := range text {
		if c == '.' || c|0x20 == 'e' {
			return false
		}
	}
	if len(text) <= 18 { // these always fit
		return true
	}
	d, ok := parseDecimal(text)
	if !ok {
		return false
	}
	_, fits := d.int64()
	return fits
}

// float64 returns the bits of the float whose shortest form is the same number. text is the
// number in JSON.
func (d *decimal) float64(text []byte) (bits int64, ok bool) {
	if d.last-d.first > 17 { // no shortest form has more digits
		return 0, false
	}
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil { // too large
		return 0, false
	}
	bits = int64(math.Float64bits(f))
	var shortest [32]byte
	rebuilt, ok := parseDecimal(appendFloat(shortest[:0], bits))
	return bits, ok && d.equal(&rebuilt)
}

// appendFloat appends a float, given by its bits, in the canonical form, which is that
// of encoding/json: the fewest digits that distinguish it from every other float, with
// an exponent (1e-7, 1e+21) below 1e-6 and from 1e21 on.
func appendFloat(dst []byte, bits int64) []byte {
	f := math.Float64frombits(uint64(bits))
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	start := len(dst)
	dst = strconv.AppendFloat(dst, f, format, -1, 64)
	if zero := bytes.Index(dst[start:], []byte("e-0")); zero >= 0 { // e-07 is e-7
		dst = append(dst[:start+zero+2], dst[start+zero+3:]...)
	}
	return dst
}

// floor returns the largest integer that is not above the number, if it fits in an int64.
func (d *decimal) floor() (int64, bool) {
	integer := *d
	integer.last = max(d.first, min(d.last, d.first+d.point))
	cut := integer.last < d.last
	n, ok := integer.int64()
	if cut && d.negative {
		ok = ok && n > math.MinInt64
		n--
	}
	return n, ok
}

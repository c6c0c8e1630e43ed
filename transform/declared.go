package transform

import "prospector/schemas"

// coerceTime is coerce for a column that declares a format of its times. It tries that
// format first. It also accepts ISO 8601, as coerce does, so that a source can switch to it
// without loss. The outcome for such a text is kept. Anything else is a mismatch.
func (c *cell) coerceTime(to schemas.Type, f schemas.TimeFormat, v value) outcome {
	kind := v.kind()
	switch {
	case kind == noKind, kind == aString && len(v.string()) == 0:
		return none
	case kind == aNumber && f.Micros > 0:
		return c.coerceUnix(to, f, v.raw())
	case kind != aString:
		return mismatch
	case f.Micros > 0:
		if outcome := c.coerceUnix(to, f, v.string()); outcome != mismatch {
			return kept // a text of digits is not a number
		}
	default:
		if micros, exactly, ok := f.ParseText(v.string()); ok {
			return c.setTime(to, micros, exactly)
		}
	}
	return min(c.coerceText(to, v.string()), kept)
}

// coerceUnix is coerce for a text that may be a number in f's unit.
func (c *cell) coerceUnix(to schemas.Type, f schemas.TimeFormat, text []byte) outcome {
	d, ok := parseDecimal(text)
	if !ok {
		return mismatch
	}
	for unit := f.Micros; unit > 1; unit /= 10 {
		d.point++
	}
	micros, ok := d.floor()
	if !ok || micros < minSeconds*1e6 || micros >= (maxSeconds+1)*1e6 || ofCoarserUnit(f, micros) {
		return mismatch
	}
	var canonical [40]byte
	return c.setTime(to, micros, string(f.AppendNumber(canonical[:0], micros)) == string(text))
}

// timeFormat returns the declared format of a column's times, or nil if there is none.
func timeFormat(c schemas.Column) *schemas.TimeFormat {
	if c.Time == "" {
		return nil
	}
	f, err := schemas.ParseTimeFormat(c.Time)
	if err != nil {
		panic(err) // the column was validated before
	}
	return &f
}

// setTime sets a timestamp or its UTC day.
func (c *cell) setTime(to schemas.Type, micros int64, exactly bool) outcome {
	c.int = micros
	if to == schemas.Date {
		c.int = int64(dayOf(micros))
		exactly = exactly && c.int*microsPerDay == micros
	}
	if exactly {
		return exact
	}
	return kept
}

// appendExactTime appends the JSON for which a time is exact in a column that declares
// the format f, or no format if f is nil.
func appendExactTime(dst []byte, f *schemas.TimeFormat, micros int64) []byte {
	switch {
	case f == nil:
		return append(appendTime(append(dst, '"'), micros), '"')
	case f.Micros > 0:
		return f.AppendNumber(dst, micros)
	default:
		return append(f.AppendText(append(dst, '"'), micros), '"')
	}
}

// Seconds from September 2001 to May 2033. Milliseconds and microseconds of that period
// are a thousand and a million times larger, so the size of a number shows its unit. No
// North American telephone number is in this range.
const firstSecond, lastSecond = 1_000_000_000, 2_000_000_000 - 1

// ofCoarserUnit reports whether a number is a recent time in a coarser unit than f's, such
// as seconds instead of milliseconds. In f's unit, it would be a time in January 1970. So
// the source has probably changed its unit, and no time is better than a wrong one.
func ofCoarserUnit(f schemas.TimeFormat, micros int64) bool {
	for coarser := int64(1e3); coarser*f.Micros <= 1e6; coarser *= 1e3 {
		if now := micros / (1e6 / coarser); now >= firstSecond && now <= lastSecond {
			return true
		}
	}
	return false
}

// timeFormsOf returns the formats of a time that a value may have.
func timeFormsOf(v value) schemas.TimeForms {
	text := v.raw()
	switch v.kind() {
	case aString:
		text = v.string()
		if _, _, _, ok := parseTime(text); ok {
			return schemas.ISOTime
		}
		if _, ok := parseDate(text); ok {
			return schemas.ISODate
		}
	case aNumber:
	default:
		return 0
	}
	d, ok := parseDecimal(text)
	if !ok {
		return 0
	}
	n, ok := d.floor()
	switch {
	case !ok:
	case n >= firstSecond && n <= lastSecond:
		return schemas.InSeconds
	case n >= firstSecond*1e3 && n/1e3 <= lastSecond:
		return schemas.InMillis
	case n >= firstSecond*1e6 && n/1e6 <= lastSecond:
		return schemas.InMicros
	}
	return 0
}

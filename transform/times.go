package transform

import "time"

// parseTime parses a time in any form that the API is likely to use: RFC 3339 with "T" or
// a blank, any number of fractional digits or none, and "Z", an offset with or without a
// colon, or no offset. A time without an offset is UTC.
//
// micros is the number of microseconds since 1970-01-01 UTC, rounded down. exact reports
// that the text has an offset of zero, and that micros has all its digits. naive reports
// that the text has no offset.
func parseTime(s []byte) (micros int64, exact, naive, ok bool) {
	seconds, ok := parseSeconds(s)
	if !ok {
		return 0, false, false, false
	}
	fraction, s, exact, ok := cutFraction(s[len(secondsLayout):])
	if !ok {
		return 0, false, false, false
	}
	offset := 0
	switch {
	case string(s) == "+00:00" || string(s) == "Z":
	case len(s) == 0:
		exact, naive = false, true
	case string(s) == "z":
	case s[0] == '+' || s[0] == '-':
		if offset, ok = parseOffset(s); !ok {
			return 0, false, false, false
		}
		exact = exact && offset == 0
	default:
		return 0, false, false, false
	}
	seconds -= int64(offset)
	if seconds < minSeconds || seconds > maxSeconds {
		return 0, false, false, false
	}
	return seconds*1e6 + int64(fraction), exact, naive, true
}

const secondsLayout = "2006-01-02T15:04:05"

// parseSeconds parses the date and the time of day at the beginning of a text. It returns
// the seconds since 1970-01-01 in the text's own offset.
func parseSeconds(s []byte) (seconds int64, ok bool) {
	if len(s) < len(secondsLayout) {
		return 0, false
	}
	c := (*[len(secondsLayout)]byte)(s)
	century, bad1 := pair(c[0], c[1])
	years, bad2 := pair(c[2], c[3])
	month, bad3 := pair(c[5], c[6])
	day, bad4 := pair(c[8], c[9])
	hour, bad5 := pair(c[11], c[12])
	minute, bad6 := pair(c[14], c[15])
	second, bad7 := pair(c[17], c[18])
	year := century*100 + years
	if bad1|bad2|bad3|bad4|bad5|bad6|bad7 != 0 ||
		c[4] != '-' || c[7] != '-' || c[10]|0x20 != 't' && c[10] != ' ' || c[13] != ':' || c[16] != ':' ||
		hour > 23 || minute > 59 || second > 59 || !isDay(year, month, day) {
		return 0, false
	}
	return int64(daysSince1970(year, month, day)*24*60*60 + (hour*60+minute)*60 + second), true
}

func isDay(year, month, day int) bool {
	return year >= 1 && month >= 1 && month <= 12 && day >= 1 && (day <= 28 || day <= daysIn(year, month))
}

// cutFraction parses the fraction of a second, if a text begins with one. exact reports
// that micros has all its digits.
func cutFraction(s []byte) (micros int, rest []byte, exact, ok bool) {
	if len(s) == 0 || s[0] != '.' && s[0] != ',' {
		return 0, s, true, true
	}
	exact = true
	digits := 0
	for s = s[1:]; digits < len(s) && isDigit(s[digits]); digits++ {
		if digits < 6 {
			micros = micros*10 + int(s[digits]-'0')
		} else if s[digits] != '0' {
			exact = false
		}
	}
	rest, ok = s[digits:], digits > 0
	for ; digits < 6; digits++ {
		micros *= 10
	}
	return micros, rest, exact, ok
}

// daysSince1970 counts days in the Gregorian calendar. The year begins with March, so
// that a leap day is the last day of a year.
func daysSince1970(year, month, day int) int {
	if month < 3 {
		year, month = year-1, month+12
	}
	const march0 = 719_468 // days from 0000-03-01 to 1970-01-01
	return 365*year + year/4 - year/100 + year/400 + (153*(month-3)+2)/5 + day - 1 - march0
}

// The limits of BigQuery's TIMESTAMP: the years 1 to 9999.
var (
	minSeconds = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	maxSeconds = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC).Unix()
)

// parseOffset parses ±HH:MM, ±HHMM or ±HH.
func parseOffset(s []byte) (seconds int, ok bool) {
	negative := s[0] == '-'
	s = s[1:]
	hours, ok := twoDigits(s)
	if !ok {
		return 0, false
	}
	s = s[2:]
	if len(s) == 3 && s[0] == ':' {
		s = s[1:]
	}
	minutes := 0
	if len(s) > 0 {
		if minutes, ok = twoDigits(s); !ok || len(s) != 2 {
			return 0, false
		}
	}
	if hours > 23 || minutes > 59 {
		return 0, false
	}
	seconds = (hours*60 + minutes) * 60
	if negative {
		seconds = -seconds
	}
	return seconds, true
}

func twoDigits(s []byte) (int, bool) {
	if len(s) < 2 {
		return 0, false
	}
	n, bad := pair(s[0], s[1])
	return n, bad == 0
}

// pair returns a number of two digits. If one of them is not a digit, bad is not 0.
func pair(tens, ones byte) (n int, bad uint) {
	tens, ones = tens-'0', ones-'0'
	const above = 0x100 - 10 // a digit above 9 plus this has the bit 0x100
	return int(tens)*10 + int(ones), ((uint(tens) + above) | (uint(ones) + above)) & 0x100
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func daysIn(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// appendTime appends a time in the form of the vendor's sample: six fractional digits,
// or none if they are all 0, and the offset +00:00.
func appendTime(dst []byte, micros int64) []byte {
	layout := "2006-01-02T15:04:05.000000+00:00"
	if micros%1e6 == 0 {
		layout = "2006-01-02T15:04:05+00:00"
	}
	return time.UnixMicro(micros).UTC().AppendFormat(dst, layout)
}

const microsPerDay = 24 * 60 * 60 * 1e6

// dayOf returns the UTC day of a time, in days since 1970-01-01.
func dayOf(micros int64) int32 {
	day := micros / microsPerDay
	if micros%microsPerDay < 0 {
		day--
	}
	return int32(day)
}

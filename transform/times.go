package transform

import "time"

// parseTime reads a time as the API writes them, or might: RFC 3339 with "T" or
// a blank, any number of fractional digits or none, "Z", an offset with or
// without its colon, or no offset at all, which is taken for UTC.
//
// micros is microseconds since 1970-01-01 UTC; further digits are cut off.
// exact says that micros tells all there was: the offset was UTC's own and no
// digit was lost. naive says that there was no offset.
func parseTime(s []byte) (micros int64, exact, naive, ok bool) {
	const layout = "2006-01-02T15:04:05"
	if len(s) < len(layout) || s[4] != '-' || s[7] != '-' || s[13] != ':' || s[16] != ':' {
		return 0, false, false, false
	}
	if c := s[10]; c != 'T' && c != 't' && c != ' ' {
		return 0, false, false, false
	}
	century, ok1 := twoDigits(s[0:])
	years, ok2 := twoDigits(s[2:])
	month, ok3 := twoDigits(s[5:])
	day, ok4 := twoDigits(s[8:])
	hour, ok5 := twoDigits(s[11:])
	minute, ok6 := twoDigits(s[14:])
	second, ok7 := twoDigits(s[17:])
	year := century*100 + years
	if !(ok1 && ok2 && ok3 && ok4 && ok5 && ok6 && ok7) ||
		year < 1 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) ||
		hour > 23 || minute > 59 || second > 59 {
		return 0, false, false, false
	}
	s = s[len(layout):]

	exact = true
	fraction := 0
	if len(s) > 0 && (s[0] == '.' || s[0] == ',') {
		digits := 0
		for s = s[1:]; len(s) > 0 && isDigit(s[0]); s = s[1:] {
			if digits < 6 {
				fraction = fraction*10 + int(s[0]-'0')
			} else if s[0] != '0' {
				exact = false
			}
			digits++
		}
		if digits == 0 {
			return 0, false, false, false
		}
		for ; digits < 6; digits++ {
			fraction *= 10
		}
	}

	offset := 0 // seconds east of UTC
	switch {
	case len(s) == 0:
		exact, naive = false, true
	case len(s) == 1 && (s[0] == 'Z' || s[0] == 'z'):
	case s[0] == '+' || s[0] == '-':
		offset, ok = parseOffset(s)
		if !ok {
			return 0, false, false, false
		}
		if offset != 0 {
			exact = false
		}
	default:
		return 0, false, false, false
	}
	t := time.Date(year, time.Month(month), day, hour, minute, second, 0, time.UTC).Unix() - int64(offset)
	if t < minSeconds || t > maxSeconds {
		return 0, false, false, false
	}
	return t*1e6 + int64(fraction), exact, naive, true
}

// What BigQuery's TIMESTAMP can hold: years 1 to 9999.
var (
	minSeconds = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	maxSeconds = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC).Unix()
)

// parseOffset reads ±HH:MM, ±HHMM or ±HH.
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
	if len(s) < 2 || !isDigit(s[0]) || !isDigit(s[1]) {
		return 0, false
	}
	return int(s[0]-'0')*10 + int(s[1]-'0'), true
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

// appendTime writes a time as the vendor's sample has it: six fractional digits,
// or none where they are all 0, and the offset +00:00.
func appendTime(dst []byte, micros int64) []byte {
	layout := "2006-01-02T15:04:05.000000+00:00"
	if micros%1e6 == 0 {
		layout = "2006-01-02T15:04:05+00:00"
	}
	return time.UnixMicro(micros).UTC().AppendFormat(dst, layout)
}

const microsADay = 24 * 60 * 60 * 1e6

// dayOf is the UTC day of a time, in days since 1970-01-01.
func dayOf(micros int64) int32 {
	day := micros / microsADay
	if micros%microsADay < 0 {
		day--
	}
	return int32(day)
}

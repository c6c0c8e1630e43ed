package transform

import (
	"net/netip"
	"strings"
)

// The policy "mask" keeps the end of a telephone number. This file recognizes numbers that
// look like a telephone number, but must be hidden completely. In doubt, a number is hidden.

// digitGroup is a sequence of digits in a text. Its value is that of the first eight.
type digitGroup struct {
	digits string
	value  int
	before string // the text between the previous group and this one
}

// isIdentifying reports whether a text of digits, blanks and + - . / ( ) holds a
// date, a social security number, a payment card or an IP address.
func isIdentifying(text string) bool {
	groups := digitGroups(text)
	all := ""
	for i, g := range groups {
		all += g.digits
		if isCompactDate(g.digits) || i+1 < len(groups) && isOrdinalDate(g, groups[i+1]) {
			return true
		}
		if i+2 < len(groups) && (isDate(g, groups[i+1], groups[i+2]) || isShortDate(groups, i) || isSocialSecurity(groups[i:i+3])) {
			return true
		}
	}
	_, err := netip.ParseAddr(strings.Trim(text, " ()"))
	return err == nil || len(all) >= 13 && isLuhn(all)
}

func digitGroups(text string) (groups []digitGroup) {
	for {
		start := strings.IndexAny(text, "0123456789")
		if start < 0 {
			return groups
		}
		g := digitGroup{before: text[:start]}
		text = text[start:]
		end := 0
		for ; end < len(text) && isDigit(text[end]); end++ {
			if end < 8 {
				g.value = g.value*10 + int(text[end]-'0')
			}
		}
		g.digits, text = text[:end], text[end:]
		groups = append(groups, g)
	}
}

// isDate reports whether the groups are a year, a month and a day in a common order:
// 1985-07-14, 14.07.1985, 07/14/1985, 1985/14/07.
func isDate(a, b, c digitGroup) bool {
	return isYear(a) && isMonthAndDay(b, c) || isYear(c) && isMonthAndDay(a, b)
}

// isShortDate reports whether a date with a year of two digits begins at group i: three
// groups with the same separator, and no fourth one. Telephone numbers have more such
// groups.
func isShortDate(groups []digitGroup, i int) bool {
	a, b, c := groups[i], groups[i+1], groups[i+2]
	if b.before != c.before || !strings.Contains("-./", b.before) || len(c.digits) > 2 {
		return false
	}
	row := i > 0 && a.before == b.before || i+3 < len(groups) && groups[i+3].before == c.before
	return !row && (isMonthAndDay(a, b) || isMonthAndDay(b, c))
}

// isOrdinalDate reports whether the groups are a year and a day of the year: 1985-195.
func isOrdinalDate(a, b digitGroup) bool {
	return isYear(a) && len(b.digits) == 3 && 1 <= b.value && b.value <= 366
}

func isYear(g digitGroup) bool { return len(g.digits) == 4 && 1800 <= g.value && g.value < 2200 }

func isMonthAndDay(a, b digitGroup) bool {
	return len(a.digits) <= 2 && len(b.digits) <= 2 && a.value > 0 && b.value > 0 &&
		min(a.value, b.value) <= 12 && max(a.value, b.value) <= 31
}

// isCompactDate reports whether digits begin with a date, and a time may follow:
// 19850714, 14071985, 198507141030.
func isCompactDate(digits string) bool {
	switch len(digits) {
	case 8, 12, 14:
		at := func(from, to int) digitGroup { return digitGroups(digits[from:to])[0] }
		return isDate(at(0, 4), at(4, 6), at(6, 8)) || isDate(at(0, 2), at(2, 4), at(4, 8))
	}
	return false
}

// isSocialSecurity reports whether the groups are a social security number of the United
// States: 123-45-6789.
func isSocialSecurity(g []digitGroup) bool {
	return len(g[0].digits) == 3 && len(g[1].digits) == 2 && len(g[2].digits) == 4
}

// isLuhn reports whether the last digit is the check digit of the others, as on payment
// cards (ISO/IEC 7812-1).
func isLuhn(digits string) bool {
	sum := 0
	for i := range len(digits) {
		d := int(digits[len(digits)-1-i] - '0')
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}

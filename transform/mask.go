package transform

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// The texts that replace protected values.
const (
	masked   = "***"
	redacted = "[redacted]"
)

// mask replaces text that may identify a person, so that a reader still sees what kind of
// text it was:
//
//   - a text that is a telephone number keeps its last four digits. An asterisk
//     replaces every other digit, and the characters between digits stay;
//   - any other text is masked word by word, and blanks stay. A telephone number
//     is masked as above. An e-mail address keeps the first letter or digit before
//     the @, its domain, and the brackets, quotes and punctuation around it. Any
//     other word that has more than one letter or digit keeps its first letter.
//     "***" replaces the rest, whatever its length.
//
// A telephone number has 7 to 15 digits (ITU-T E.164 allows 15), and otherwise only
// blanks and + - . / ( ). A text that contains a date, a social security number, a
// payment card or an IP address is not a telephone number (identifying.go). An e-mail
// address has one @, followed by letters, digits, hyphens and at least one dot.
func mask(text string) string {
	if isPhone(text) {
		return maskPhone(text)
	}
	var b strings.Builder
	for len(text) > 0 {
		end := strings.IndexFunc(text, unicode.IsSpace)
		if end < 0 {
			end = len(text)
		}
		b.WriteString(maskWord(text[:end]))
		_, blank := utf8.DecodeRuneInString(text[end:])
		b.WriteString(text[end : end+blank])
		text = text[end+blank:]
	}
	return b.String()
}

func maskWord(word string) string {
	if word == "" {
		return ""
	}
	if isPhone(word) {
		return maskPhone(word)
	}
	address := strings.TrimFunc(word, func(r rune) bool { return strings.ContainsRune(`<>()[]{}"'.,;:!?`, r) })
	if local, domain, ok := strings.Cut(address, "@"); ok && local != "" && isDomain(domain) {
		before, after, _ := strings.Cut(word, address)
		return before + firstOf(local) + masked + "@" + domain + after
	}
	letters := 0
	for _, r := range word {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			letters++
		}
	}
	if first := firstOf(word); letters > 1 && !strings.ContainsFunc(first, unicode.IsDigit) {
		return first + masked
	}
	return masked
}

// firstOf returns the first letter or digit of a word, or "".
func firstOf(word string) string {
	for _, r := range word {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return string(r)
		}
	}
	return ""
}

func isDomain(s string) bool {
	return strings.Contains(s, ".") && !strings.ContainsFunc(s, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '-' && r != '.'
	})
}

func isPhone(s string) bool {
	digits := 0
	for _, r := range s {
		switch {
		case '0' <= r && r <= '9':
			digits++
		case !unicode.IsSpace(r) && !strings.ContainsRune("+-./()", r):
			return false
		}
	}
	return 7 <= digits && digits <= 15 && !isIdentifying(s)
}

func maskPhone(s string) string {
	b := []byte(s)
	shown := 0
	for i := len(b) - 1; i >= 0; i-- {
		if !isDigit(b[i]) {
			continue
		}
		if shown++; shown > 4 {
			b[i] = '*'
		}
	}
	return string(b)
}

package transform

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// What the policies put where a value was.
const (
	masked   = "***"
	redacted = "[redacted]"
)

// mask replaces what tells people apart, so that a reader still sees what kind of
// text it was:
//
//   - a text that is a telephone number keeps its last four digits; of every other
//     digit there is an asterisk, and what stands between digits stays;
//   - any other text is masked word by word, blanks staying as they are: a
//     telephone number as above; an e-mail address keeps the first letter or digit
//     before the @, and its domain, with the brackets, quotes and punctuation
//     around it; any other word keeps its first letter, if it has more than one
//     letter or digit. "***" stands for all the rest, however long it was.
//
// A telephone number has 7 to 15 digits (ITU-T E.164 allows 15), and apart from
// them nothing but blanks and + - . / ( ). An e-mail address has one @, with
// letters, digits, hyphens and at least one dot behind it.
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

// firstOf is a word's first letter or digit, or "".
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
	return 7 <= digits && digits <= 15
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

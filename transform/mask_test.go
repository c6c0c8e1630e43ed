package transform

import "testing"

func TestMask(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"", ""},
		{"jane.doe@example.com", "j***@example.com"},
		{"j@example.com", "j***@example.com"},
		{"_jane+tours@mail.example.co.uk", "j***@mail.example.co.uk"},
		{"__@example.com", "***@example.com"},
		{"jane@münchen.de", "j***@münchen.de"},
		{"Jane Doe <jane.doe@example.com>", "J*** D*** <j***@example.com>"},
		{"a@example.com, b@example.com.", "a***@example.com, b***@example.com."},
		{"mailto:jane@example.com", "m***@example.com"},
		{"jane@localhost", "j***"},
		{"jane@doe@example.com", "j***"},
		{"@example.com", "e***"},
		{"jane@example.com/secret", "j***"},

		{"+1 (206) 555-0123", "+* (***) ***-0123"},
		{"+12065550123", "+*******0123"},
		{"206.555.0123", "***.***.0123"},
		{"5550123", "***0123"},
		{" 5550123\n", " ***0123\n"},
		{"5 5 5 0 1", "*** *** *** *** ***"},
		{"call 206-555-0123 now", "c*** ***-***-0123 n***"},
		{"call (206) 555-0123", "c*** *** ***-0123"},
		{"555012", "***"},
		{"1234567890123456", "***"},
		{"206-555-0123x7", "***"},

		{"Jane Doe", "J*** D***"},
		{"  two\tblanks \u00a0", "  t***\tb*** \u00a0"},
		{"\"Ångström\", he said", "Å*** h*** s***"},
		{"I am 7 now", "*** a*** *** n***"},
		{"😀 -- 中文", "*** *** 中***"},
		{"line\nline", "l***\nl***"},
		{"\x00a", "***"},
	} {
		if got := mask(test.text); got != test.want {
			t.Errorf("%q is masked as %q, not %q", test.text, got, test.want)
		}
	}
}

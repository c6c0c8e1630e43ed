package schemas

// TimeForms is the set of time formats that all values of a field have.
type TimeForms uint8

// The formats.
const (
	ISOTime   TimeForms = 1 << iota // texts such as "2022-01-13T19:27:37Z"
	ISODate                         // texts such as "2022-01-13"
	InSeconds                       // since 1970, as numbers or texts
	InMillis
	InMicros
)

// AnyTime is the set of all formats, which a field without values has.
const AnyTime = ISOTime | ISODate | InSeconds | InMillis | InMicros

var formNames = map[TimeForms]string{ISOTime: "timestamp", ISODate: "date", InSeconds: UnixSeconds, InMillis: UnixMillis, InMicros: UnixMicros}

// String names the format of a set with one format, or returns "".
func (f TimeForms) String() string { return formNames[f] }

// parseTimeForms parses the result of String.
func parseTimeForms(text string) TimeForms {
	for f, name := range formNames {
		if name == text {
			return f
		}
	}
	return 0
}

// column returns the type and the Time of a column for values with that one format.
func (f TimeForms) column() (t Type, format string, ok bool) {
	switch f {
	case ISOTime:
		return Timestamp, "", true
	case ISODate:
		return Date, "", true
	case InSeconds, InMillis, InMicros:
		return Timestamp, f.String(), true
	}
	return "", "", false
}

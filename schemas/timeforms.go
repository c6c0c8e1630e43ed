package schemas

// TimeForms is a set of the ways in which all values of a field can be times.
type TimeForms uint8

// The ways.
const (
	ISOTime   TimeForms = 1 << iota // texts such as "2022-01-13T19:27:37Z"
	ISODate                         // texts such as "2022-01-13"
	InSeconds                       // since 1970, as numbers or texts
	InMillis
	InMicros
)

// AnyTime is the set of no values.
const AnyTime = ISOTime | ISODate | InSeconds | InMillis | InMicros

var formNames = map[TimeForms]string{ISOTime: "timestamp", ISODate: "date", InSeconds: UnixSeconds, InMillis: UnixMillis, InMicros: UnixMicros}

// String names the one way in a set, or is "".
func (f TimeForms) String() string { return formNames[f] }

// parseTimeForms reads what String gives.
func parseTimeForms(text string) TimeForms {
	for f, name := range formNames {
		if name == text {
			return f
		}
	}
	return 0
}

// column gives the type and the Time of a column for values of that one form.
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

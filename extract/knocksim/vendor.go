package knocksim

import (
	"strconv"
	"time"
)

// The times of the vendor's changes. A change affects the events that are created from
// then on. The package comment describes the changes.
var (
	sentimentFrom  = january(5)
	remindersFrom  = january(11)
	voiceFrom      = january(16)
	fractionFrom   = january(20)
	stringSegments = january(24)
)

func january(day int) int64 {
	return time.Date(2022, time.January, day, 0, 0, 0, 0, time.UTC).UnixMicro()
}

// vendor applies the changes that precede the creation of one event.
type vendor struct {
	at int64 // 0, which is before all changes, in a world without changes
	// An independent random sequence, so that the unchanged parts of an event are the
	// same as in the world without changes.
	rng rng
}

func (w *world) vendorAt(created int64, event rng) vendor {
	if !w.vendorChanges {
		return vendor{}
	}
	return vendor{created, rng(mix(uint64(event)))}
}

// isVoice reports whether a voice message replaces the SMS.
func (v *vendor) isVoice() bool { return v.at >= voiceFrom && v.rng.chance(20) }

func (v *vendor) sentiment(b []byte) []byte {
	if v.at < sentimentFrom {
		return b
	}
	b = append(b, `,"sentiment":"`...)
	b = append(b, sentiments[v.rng.below(len(sentiments))]...)
	return append(b, '"')
}

func (v *vendor) reminders(b []byte) []byte {
	if v.at < remindersFrom {
		return b
	}
	b = append(b, `,"reminders":`...)
	b = append(b, byte('0'+v.rng.below(4)))
	if v.at >= fractionFrom && v.rng.chance(25) {
		b = append(b, ".5"...)
	}
	return b
}

// segments appends the number of segments of an outbound SMS. Count is a digit.
func (v *vendor) segments(b []byte, count byte) []byte {
	if v.at < stringSegments {
		return append(b, count)
	}
	switch v.rng.below(20) {
	case 0:
		b = append(b, `{"count":`...)
		b = append(b, count)
		return append(b, '}')
	case 1:
		return append(b, `"unknown"`...)
	}
	return append(b, '"', count, '"')
}

func appendVoice(b []byte, p *person, m *message, v *vendor) []byte {
	b = m.direction(b, propertyPhones[p.property], p.phone[:])
	b = append(b, `,"durationSeconds":`...)
	b = strconv.AppendInt(b, int64(2+v.rng.below(180)), 10)
	b = append(b, `,"transcript":"`...)
	b = m.sentences(b, p)
	return append(b, '"')
}

var sentiments = []string{"positive", "neutral", "neutral", "negative"}

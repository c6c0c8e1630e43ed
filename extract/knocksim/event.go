package knocksim

import "strconv"

// person has the values that all events of a prospect share.
type person struct {
	seed        uint64
	share       uint32
	first, last name
	email       [64]byte
	emailLength int
	phone       [12]byte
	source      text
	property    int
	agents      [2]string // the usual agent and a colleague
	agent       text
}

func (w *world) person(index int) person {
	seed := w.prospectSeed(index)
	r := rng(mix(seed))
	p := person{
		seed:     seed,
		share:    w.shares[index],
		first:    firstNames[r.below(len(firstNames))],
		last:     lastNames[r.below(len(lastNames))],
		source:   sources[r.below(len(sources))],
		property: r.below(len(properties)),
	}
	usual := r.below(len(w.agents))
	p.agents = [2]string{w.agents[usual], w.agents[r.below(len(w.agents))]}
	p.agent = agentNames[usual%len(agentNames)]

	b := append(p.email[:0], p.first.address...)
	b = append(b, '.')
	b = append(b, p.last.address...)
	b = strconv.AppendInt(b, int64(r.below(10_000)), 10)
	p.emailLength = len(append(b, "@example.com"...))
	// 555-0100 to 555-0199 are fictional numbers.
	b = append(p.phone[:0], "+1"...)
	b = strconv.AppendInt(b, int64(201+r.below(780)), 10)
	b = append(b, "55501"...)
	appendTwo(b, r.below(100))
	return p
}

// kind is a kind of message.
type kind struct {
	name            string
	percent         int    // of all events
	inbound         string // description
	outbound        string
	inboundPercent  int
	agentless       int // percent of outbound messages without an agent
	maxSentences    int
	inboundOpening  string // {"type":…,"description":…,"eventTime":" for an inbound message
	outboundOpening string
}

// appointmentPercent is the share of appointments among all events.
const appointmentPercent = 12

const appointmentOpening = `{"type":"APPOINTMENT_CREATED","description":"A tour appointment was scheduled via knock","eventTime":"`

// The kinds of message, as indices into messageKinds.
const (
	sms = iota
	email
	knockbot
	web
	facebook
	voice
)

// messageKinds are guessed: the vendor documents that these five exist, but neither the
// names of their types nor the fields of their data.
var messageKinds = withOpenings([]kind{
	sms: {name: "SMS_MESSAGE", percent: 42, inboundPercent: 45, agentless: 10, maxSentences: 2,
		inbound: "Prospect sent a text message", outbound: "A text message was sent via knock"},
	email: {name: "EMAIL_MESSAGE", percent: 16, inboundPercent: 35, agentless: 20, maxSentences: 3,
		inbound: "Prospect sent an email", outbound: "An email was sent via knock"},
	knockbot: {name: "KNOCKBOT_MESSAGE", percent: 17, inboundPercent: 50, agentless: 100, maxSentences: 2,
		inbound: "Prospect wrote to Knockbot", outbound: "Knockbot replied"},
	web: {name: "WEB_MESSAGE", percent: 8, inboundPercent: 80, agentless: 0, maxSentences: 3,
		inbound: "Prospect sent a message from the property's website", outbound: "A web message was sent via knock"},
	facebook: {name: "FACEBOOK_MESSAGE", percent: 5, inboundPercent: 60, agentless: 5, maxSentences: 2,
		inbound: "Prospect sent a Facebook message", outbound: "A Facebook message was sent via knock"},
	// A vendor change replaces some SMS by this kind, so its own share is 0.
	voice: {name: "VOICE_MESSAGE", percent: 0, inboundPercent: 45, agentless: 10, maxSentences: 3,
		inbound: "Prospect left a voice message", outbound: "A voice message was left via knock"},
})

func withOpenings(kinds []kind) []kind {
	for i := range kinds {
		k := &kinds[i]
		start := `{"type":"` + k.name + `","description":"`
		k.inboundOpening = start + k.inbound + `","eventTime":"`
		k.outboundOpening = start + k.outbound + `","eventTime":"`
	}
	return kinds
}

// appendNode appends event k of a prospect in its state at asOf.
func (w *world) appendNode(b []byte, p *person, k int) []byte {
	created, r := w.created(p.seed, p.share, k)
	v := w.vendorAt(created, r)
	happened := created
	if r.chance(4) { // logged late, by a second to two days
		happened = max(w.since, created-1e6-int64(r.below(48*3600*1e6)))
	}
	choice := r.below(100)
	if choice < appointmentPercent {
		b = w.appendAppointment(b, p, happened, created, &r)
		b = v.reminders(b)
		return append(b, `}}`...)
	}
	choice -= appointmentPercent
	number := 0
	for choice >= messageKinds[number].percent {
		choice -= messageKinds[number].percent
		number++
	}
	if number == sms && v.isVoice() {
		number = voice
	}
	kind := &messageKinds[number]
	m := message{rng: &r, kind: kind, inbound: r.chance(kind.inboundPercent)}
	if r.chance(25) {
		m.spelling = ascii
	}
	opening := kind.outboundOpening
	agent := p.agents[0]
	if m.inbound {
		opening = kind.inboundOpening
	}
	if r.chance(10) {
		agent = p.agents[1]
	}
	if kind.agentless == 100 || !m.inbound && r.chance(kind.agentless) {
		agent = "" // a bot or a campaign
	}
	b = append(b, opening...)
	b = appendHead(b, happened, created, p.source[m.spelling], agent)
	switch number { // a func in kind would move m to the heap
	case sms:
		b = appendSMS(b, p, &m, &v)
		b = v.sentiment(b)
	case email:
		b = appendEmail(b, p, &m)
		b = v.sentiment(b)
	case knockbot:
		b = appendBot(b, p, &m)
	case web:
		b = appendWeb(b, p, &m)
	case facebook:
		b = appendFacebook(b, p, &m)
	case voice:
		b = appendVoice(b, p, &m, &v)
	}
	return append(b, `}}`...)
}

// appendHead appends everything between the opening and the members of data.
func appendHead(b []byte, happened, created int64, source, agent string) []byte {
	start := len(b)
	b = appendTime(b, happened)
	end := len(b)
	b = append(b, `","createdAt":"`...)
	if happened == created {
		b = append(b, b[start:end]...)
	} else {
		b = appendTime(b, created)
	}
	b = append(b, `","source":{"title":"`...)
	b = append(b, source...)
	if agent == "" {
		return append(b, `"},"agent":null,"data":{`...)
	}
	b = append(b, `"},"agent":{"username":"`...)
	b = append(b, agent...)
	return append(b, `"},"data":{`...)
}

const (
	second   = int64(1e6)
	halfHour = 30 * 60 * second
	aDay     = 24 * 60 * 60 * second
)

func (w *world) appendAppointment(b []byte, p *person, happened, created int64, r *rng) []byte {
	start := created + aDay/2 + int64(r.below(int(10*aDay)))
	start -= start % halfHour
	end := start + halfHour*int64(1+r.below(2))
	tour := "IN_PERSON"
	switch n := r.below(10); {
	case n == 0:
		tour = "VIRTUAL"
	case n < 3:
		tour = "SELF_GUIDED"
	}
	b = append(b, appointmentOpening...)
	b = appendHead(b, happened, created, p.source[raw], p.agents[0])
	b = append(b, `"startTime":"`...)
	b = appendTime(b, start)
	b = append(b, `","endTime":"`...)
	b = appendTime(b, end)
	b = append(b, `","status":"`...)
	b = append(b, w.status(created, start, end, r)...)
	b = append(b, `","tourType":"`...)
	b = append(b, tour...)
	return append(b, '"')
}

// status returns the status of an appointment at asOf. It is confirmed until it is
// canceled or completed. Some appointments stay confirmed.
func (w *world) status(created, start, end int64, r *rng) string {
	fate, moment := r.below(100), int64(r.below(int(start-created)))
	switch {
	case fate < 22 && w.asOf > created+moment:
		return "cancelled"
	case fate < 22 || w.asOf < end:
		return "confirmed"
	case fate < 80:
		return "completed"
	case fate < 92:
		return "no_show"
	}
	return "confirmed"
}

// appendTime appends microseconds since 1970 as Python's isoformat does: with six
// fractional digits, or none if they are zero.
func appendTime(b []byte, micros int64) []byte {
	seconds, fraction := micros/1e6, int(micros%1e6)
	days, ofDay := seconds/86400, int(seconds%86400)
	year, month, day := civil(int(days))
	b = appendTwo(b, year/100)
	b = appendTwo(b, year%100)
	b = append(b, '-')
	b = appendTwo(b, month)
	b = append(b, '-')
	b = appendTwo(b, day)
	b = append(b, 'T')
	b = appendTwo(b, ofDay/3600)
	b = append(b, ':')
	b = appendTwo(b, ofDay/60%60)
	b = append(b, ':')
	b = appendTwo(b, ofDay%60)
	if fraction != 0 {
		b = append(b, '.')
		b = appendTwo(b, fraction/10_000)
		b = appendTwo(b, fraction/100%100)
		b = appendTwo(b, fraction%100)
	}
	return append(b, "+00:00"...)
}

// civil returns the date of a day, counted from 1970-01-01. It computes with years that
// begin in March, so that the leap day is the last one (Howard Hinnant,
// "chrono-Compatible Low-Level Date Algorithms").
func civil(days int) (year, month, day int) {
	days += 719468
	era, ofEra := days/146097, days%146097
	ofEraYear := (ofEra - ofEra/1460 + ofEra/36524 - ofEra/146096) / 365
	ofYear := ofEra - (365*ofEraYear + ofEraYear/4 - ofEraYear/100)
	m := (5*ofYear + 2) / 153
	year, month, day = era*400+ofEraYear, m+3, ofYear-(153*m+2)/5+1
	if month > 12 {
		year, month = year+1, month-12
	}
	return year, month, day
}

func appendTwo(b []byte, n int) []byte { return append(b, byte('0'+n/10), byte('0'+n%10)) }

// uuid returns a random UUID (version 4).
func uuid(r *rng) string {
	const digits = "0123456789abcdef"
	hi, lo := r.next()&^0xf000|0x4000, r.next()&^(3<<62)|2<<62
	b := make([]byte, 0, 36)
	for i := range 32 {
		if i == 8 || i == 12 || i == 16 || i == 20 {
			b = append(b, '-')
		}
		b = append(b, digits[hi>>60])
		hi, lo = hi<<4|lo>>60, lo<<4
	}
	return string(b)
}

package knocksim

import "strconv"

// message is the state for rendering one message event. The order of the random numbers
// is part of the world, so a new number must be the last one.
type message struct {
	rng      *rng
	kind     *kind
	inbound  bool
	spelling int // raw or ascii
}

// direction appends direction, from and to. The addresses are those of the property and
// of the prospect.
func (m *message) direction(b []byte, property string, prospect []byte) []byte {
	if m.inbound {
		b = append(b, `"direction":"inbound","from":"`...)
		b = append(b, prospect...)
		b = append(b, `","to":"`...)
		b = append(b, property...)
	} else {
		b = append(b, `"direction":"outbound","from":"`...)
		b = append(b, property...)
		b = append(b, `","to":"`...)
		b = append(b, prospect...)
	}
	return append(b, '"')
}

func appendSMS(b []byte, p *person, m *message, v *vendor) []byte {
	b = m.direction(b, propertyPhones[p.property], p.phone[:])
	b = append(b, `,"body":"`...)
	b = m.sentences(b, p)
	if m.inbound {
		return append(b, '"') // so that the row has no extra_json
	}
	b = append(b, `","deliveryStatus":"`...)
	b = append(b, deliveries[m.rng.below(len(deliveries))]...)
	b = append(b, `","segments":`...)
	return v.segments(b, byte('1'+m.rng.below(3)))
}

func appendEmail(b []byte, p *person, m *message) []byte {
	b = m.direction(b, propertyEmails[p.property], p.email[:p.emailLength])
	b = append(b, `,"subject":"`...)
	b = m.sentence(b, p, subjects)
	b = append(b, `","body":"`...)
	b = append(b, `Hi`...)
	if !m.inbound {
		b = append(b, ' ')
		b = append(b, p.first.text[m.spelling]...)
	}
	b = append(b, `,\n\n`...)
	b = m.sentences(b, p)
	b = append(b, `\n\n`...)
	if m.inbound {
		b = append(b, p.first.text[m.spelling]...)
		b = append(b, ' ')
		b = append(b, p.last.text[m.spelling]...)
	} else {
		b = append(b, p.agent[m.spelling]...)
		b = append(b, `\n`...)
		b = append(b, properties[p.property][m.spelling]...)
	}
	b = append(b, `","attachments":[`...)
	if m.rng.chance(12) {
		b = m.attachment(b)
	}
	b = append(b, `],"threadId":"`...)
	return append(appendHex(b, p.seed, 8), '"')
}

// appendBot appends a Knockbot message, whose text is in data.text instead of data.body.
func appendBot(b []byte, p *person, m *message) []byte {
	b = m.direction(b, "knockbot", p.email[:p.emailLength])
	b = append(b, `,"text":"`...)
	b = m.sentences(b, p)
	b = append(b, `","intent":`...)
	b = append(b, intents[m.rng.below(len(intents))]...)
	b = append(b, `,"confidence":0.`...)
	b = append(b, byte('4'+m.rng.below(6)), byte('1'+m.rng.below(9)))
	b = append(b, `,"sessionId":"`...)
	return append(appendHex(b, m.rng.next(), 8), '"')
}

func appendWeb(b []byte, p *person, m *message) []byte {
	b = m.direction(b, propertyEmails[p.property], p.email[:p.emailLength])
	b = append(b, `,"body":"`...)
	b = m.sentences(b, p)
	b = append(b, `","page":{"path":"/floorplans/`...)
	b = append(b, byte('1'+m.rng.below(4)))
	b = append(b, `-bedroom","campaign":`...)
	b = append(b, campaigns[m.rng.below(len(campaigns))]...)
	return append(b, '}')
}

func appendFacebook(b []byte, p *person, m *message) []byte {
	var buffer [96]byte
	fullName := append(buffer[:0], p.first.text[m.spelling]...)
	fullName = append(fullName, ' ')
	fullName = append(fullName, p.last.text[m.spelling]...)
	b = m.direction(b, properties[p.property][m.spelling], fullName)
	b = append(b, `,"body":"`...)
	b = m.sentences(b, p)
	b = append(b, `","attachments":[`...)
	if m.rng.chance(30) {
		b = m.attachment(b)
		if m.rng.chance(30) {
			b = append(b, ',')
			b = m.attachment(b)
		}
	}
	return append(b, ']')
}

func (m *message) attachment(b []byte) []byte {
	b = append(b, `{"name":"`...)
	b = append(b, files[m.rng.below(len(files))][m.spelling]...)
	b = append(b, `","size":`...)
	b = strconv.AppendInt(b, int64(10_000+m.rng.below(4_000_000)), 10)
	return append(b, '}')
}

// sentences appends the text of the message.
func (m *message) sentences(b []byte, p *person) []byte {
	pool := outbound
	switch {
	case m.inbound && m.rng.chance(8):
		return m.sentence(b, p, worldwide)
	case m.inbound:
		pool = inbound
	case m.kind.agentless == 100:
		pool = bot
	}
	b = m.sentence(b, p, pool)
	for n := 1; n < m.kind.maxSentences && m.rng.chance(20); n++ {
		b = append(b, ' ')
		b = m.sentence(b, p, pool)
	}
	return b
}

// sentence appends a sentence of the pool, and fills its blanks.
func (m *message) sentence(b []byte, p *person, pool []sentence) []byte {
	r := m.rng
	for _, part := range pool[r.below(len(pool))] {
		b = append(b, part.text[m.spelling]...)
		switch part.blank {
		case first:
			b = append(b, p.first.text[m.spelling]...)
		case agent:
			b = append(b, p.agent[m.spelling]...)
		case property:
			b = append(b, properties[p.property][m.spelling]...)
		case unit:
			b = append(b, "ABCDE"[r.below(5)])
			b = append(b, '-')
			b = strconv.AppendInt(b, int64(101+100*r.below(20)+r.below(24)), 10)
		case rent:
			b = append(b, '$', byte('1'+r.below(4)), ',', byte('0'+r.below(10)), byte('0'+r.below(10)), '5')
		case day:
			b = append(b, days[r.below(len(days))][m.spelling]...)
		case clock:
			b = append(b, clocks[r.below(len(clocks))][m.spelling]...)
		case beds:
			b = append(b, byte('1'+r.below(4)))
		}
	}
	return b
}

func appendHex(b []byte, x uint64, digits int) []byte {
	for range digits {
		b = append(b, "0123456789abcdef"[x&15])
		x >>= 4
	}
	return b
}

var (
	deliveries     = []string{"delivered", "delivered", "delivered", "sent", "failed"}
	intents        = []string{`"schedule_tour"`, `"pricing"`, `"pets"`, `"parking"`, `"smalltalk"`, `null`}
	campaigns      = []string{`null`, `null`, `"spring-specials"`, `"retargeting"`}
	files          = newTexts("floorplan.pdf", "fees 2022.pdf", "IMG_4032.HEIC", "paystub (1).pdf", "contrat signé.pdf", "写真.jpg")
	propertyPhones = each(properties, func(i int) string { return "+120655501" + string(appendTwo(nil, i)) })
	propertyEmails = each(properties, func(i int) string { return "leasing" + strconv.Itoa(i) + "@example.org" })
)

func each(list []text, f func(int) string) []string {
	out := make([]string, len(list))
	for i := range list {
		out[i] = f(i)
	}
	return out
}

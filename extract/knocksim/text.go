package knocksim

import (
	"strings"
	"unicode/utf16"
)

// text is the inside of a JSON string in two common spellings: raw UTF-8, and ASCII with
// \u escapes and an escaped slash.
type text [2]string

const (
	raw = iota
	ascii
)

func newText(s string) text { return text{escape(s, false), escape(s, true)} }

func newTexts(list ...string) []text {
	texts := make([]text, len(list))
	for i, s := range list {
		texts[i] = newText(s)
	}
	return texts
}

func escape(s string, toASCII bool) string {
	const hex = "0123456789abcdef"
	var b strings.Builder
	unit := func(u uint16) {
		b.WriteString(`\u`)
		for shift := 12; shift >= 0; shift -= 4 {
			b.WriteByte(hex[u>>shift&15])
		}
	}
	for _, r := range s {
		switch {
		case r == '"' || r == '\\' || toASCII && r == '/':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < ' ' || toASCII && r > '~' && r < 0x10000:
			unit(uint16(r))
		case toASCII && r >= 0x10000:
			high, low := utf16.EncodeRune(r)
			unit(uint16(high))
			unit(uint16(low))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// sentence is a text with blanks, such as {unit}, that are filled for each event: the
// text before each blank, and the blank (0 if there is none).
type sentence []part

type part struct {
	text  text
	blank byte
}

// The blanks of a sentence.
const (
	none byte = iota
	first
	agent
	property
	unit
	rent
	day
	clock
	beds
)

var blanks = map[string]byte{
	"first": first, "agent": agent, "property": property, "unit": unit,
	"rent": rent, "day": day, "clock": clock, "beds": beds,
}

func newSentences(list ...string) []sentence {
	sentences := make([]sentence, len(list))
	for i, s := range list {
		for s != "" {
			before, rest, _ := strings.Cut(s, "{")
			name, after, _ := strings.Cut(rest, "}")
			sentences[i] = append(sentences[i], part{newText(before), blanks[name]})
			s = after
		}
	}
	return sentences
}

// name is a first or last name, with the form that it has in an e-mail address.
type name struct {
	text
	address string
}

func newNames(list ...string) []name {
	names := make([]name, len(list))
	for i, s := range list {
		shown, address, ok := strings.Cut(s, "=")
		if !ok {
			address = strings.ToLower(shown)
		}
		names[i] = name{newText(shown), address}
	}
	return names
}

var (
	firstNames = newNames("Emma", "Liam", "Olivia", "Noah", "Ava", "Ethan", "Mia", "Lucas", "Grace", "Henry",
		"Priya", "Marcus", "Tasha", "Devon", "Kayla", "Omar", "Hannah", "Isaac", "Naomi", "Trevor",
		"José=jose", "Zoë=zoe", "Renée=renee", "Søren=soren", "Łukasz=lukasz", "Chloé=chloe", "Nuñez=nunez",
		"Thảo=thao", "李娜=lina", "美咲=misaki", "민준=minjun", "Мария=maria", "محمد=mohammed", "נועה=noa")
	lastNames = newNames("Smith", "Johnson", "Nguyen", "Patel", "Garcia", "Brown", "Kim", "Lopez", "Walker", "Cohen",
		"Murphy", "O'Neill=oneill", "Okafor", "Silva", "Müller=mueller", "Gonçalves=goncalves", "Ødegård=odegard",
		"Žižek=zizek", "Yılmaz=yilmaz", "D'Angelo=dangelo", "王=wang", "佐藤=sato", "Петрова=petrova")
	agentNames = newTexts("Jordan", "Casey", "Riley", "Morgan", "Aisha", "Björn", "Inés", "Taylor", "Sam", "Quinn")
	properties = newTexts("Maple Court", "The Aurora", "Harbor Point Lofts", "Résidence Belle-Île", "Cedar & Pine",
		"The \"Foundry\" Apartments", "Sunset Ridge", "Parkview at 5th", "Casa Peñasco", "Wharf No. 9")
	sources = newTexts("Property Website", "Property Website", "Property Website", "Apartments.com", "Zillow",
		"Zillow", "Craigslist", "Google Business Profile", "Facebook Marketplace", "Walk-in / drive-by",
		"Resident referral", "Café Zoë – flyer")
	days   = newTexts("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
	clocks = newTexts("9:30 AM", "10 AM", "11:15 AM", "noon", "1 PM", "2:30 PM", "3 PM", "4:45 PM", "5:30 PM", "18h30")
)

var (
	inbound = newSentences(
		"Hi, I saw the {beds} bedroom at {property} online. Is it still available?",
		"Is unit {unit} still open?",
		"Can I come by on {day} around {clock}?",
		"What's the total move-in cost if the rent is {rent}?",
		"Do you allow large dogs? Mine is a 70 lb lab 🐶",
		"Sorry, running late. Could we do {clock} instead?",
		"Thanks!!", "Yes please", "Sounds good 👍", "ok", "On my way 🚗", "No, sorry. Another time?",
		"Is parking included, or is that extra?",
		"My lease ends next month, so I'd need to move in by then.",
		"The listing says \"utilities included\" - does that cover internet too?",
		"How long is the application process? I have a credit score around 690.",
		"Ok great, see you {day} 👍",
		"I can't make it on {day} anymore. Can we reschedule?",
		"Would you take {rent} for a 15 month lease?",
		"Are there any specials for unit {unit} right now?",
		"Me and my partner are relocating for work and would love a virtual tour of a {beds} bedroom.",
		"Please stop texting me.",
		"{first} here, just following up on the e-mail I sent on {day}.",
		"Is there in-unit laundry in {unit}? The photos didn't show any.",
		"What floor is it on, and does it face the street/courtyard?",
	)
	outbound = newSentences(
		"Hi {first}, this is {agent} at {property}. Thanks for reaching out!",
		"Yes, unit {unit} is available at {rent}/month.",
		"Would {day} at {clock} work for a tour?",
		"You're confirmed for {day} at {clock}. Please bring a photo ID.",
		"Our {beds} bedrooms start at {rent} and come with in-unit laundry.",
		"We're pet friendly: two pets max, $45/month each, no breed restrictions.",
		"Just checking in, {first} - are you still looking for a {beds} bedroom?",
		"Good news! We're offering 6 weeks free on unit {unit} if you apply by {day} 🎉",
		"You can see floor plans and apply at https://example.com/apply?unit={unit}",
		"Parking is $120/month in the garage; street parking is free after 6 PM.",
		"No problem at all, I've moved you to {day}, {clock}.",
		"It was great meeting you at {property}. Let me know if any questions come up!",
		"The application takes about 10 minutes and we usually answer within 48 hours.",
		"The office is closed on {day}, but our self-guided tours run from 9 to 6.",
		"Reply STOP to unsubscribe.", "See you then!", "You're welcome, {first} 😊", "Did you still want to see {unit}?",
		"I've attached the floor plan and the fee sheet for {unit}.",
		"Heads up: the elevator is under maintenance until {clock}, so please use the stairs.",
	)
	worldwide = newSentences(
		"Hola, ¿el departamento {unit} sigue disponible? Mañana puedo pasar a las {clock}.",
		"Bonjour, je cherche un appartement de {beds} pièces près de l'école. Merci d'avance !",
		"您好，请问{property}还有{beds}室的公寓吗？租金是{rent}吗？",
		"こんにちは。{unit}号室の内見を予約したいです。よろしくお願いします🙇",
		"안녕하세요, {unit}호 아직 비어 있나요?",
		"Здравствуйте! Можно посмотреть квартиру {unit} в {clock}?",
		"مرحبا، هل الشقة {unit} ما زالت متاحة؟ شكرا",
		"שלום, האם הדירה {unit} עדיין פנויה?",
		"नमस्ते, क्या {beds} बेडरूम वाला फ्लैट खाली है?",
		"We're a family of four 👨‍👩‍👧‍👦 + 🐈, moving from 🇨🇦.\u00a0Tab:\there it is",
		"Xin chào, căn hộ {unit} giá {rent} có chỗ đậu xe không ạ?",
	)
	bot = newSentences(
		"Hi {first}! I'm the virtual assistant of {property}. How can I help?",
		"We have {beds} bedrooms from {rent}. Would you like to book a tour?",
		"I can offer {day} at {clock}. Does that work?",
		"I didn't quite get that. You can ask me about availability, pets, parking or tours.",
		"Yes! Unit {unit} comes with a dishwasher, washer/dryer and a balcony.",
		"A team member will get back to you on {day}.",
		"Your tour on {day} at {clock} is booked ✅",
		"Anything else?", "Great choice!",
	)
	subjects = newSentences(
		"Your tour at {property}", "Re: Your tour at {property}", "{beds} bedroom availability",
		"Re: Unit {unit}", "Unit {unit} – question about the lease", "Welcome to {property}, {first}!",
		"Fwd: Application for {unit}", "Last chance: specials at {property} 🏡", "¿Sigue disponible {unit}?",
	)
)

# The table of Knock prospect events: one row for each event.
#
# A column has the value of the first of its paths that the event has. A path is
# relative to the event (an edge's node). Fields without a column are kept in
# extra_json, so no field is lost when the vendor adds one.
#
# The vendor documents only the APPOINTMENT_CREATED type. The paths of the message
# columns are likely names, the most likely first.

schema "knock_events" {
  description = "Events of Knock CRM prospects: tours booked, and Knockbot, e-mail, Facebook, SMS and web messages."

  # The expected types. Other types are exported as well, and reported.
  event_types = [
    "APPOINTMENT_*", "EMAIL_MESSAGE", "FACEBOOK_MESSAGE", "KNOCKBOT_MESSAGE", "SMS_MESSAGE", "WEB_MESSAGE",
  ]

  column "event_id" {
    type        = string
    value       = "identity"
    description = "Deterministic: the first 120 bits of a SHA-256 over the prospect, the type and the time of creation, as base64url."
  }
  column "prospect_id" {
    type        = string
    value       = "prospect"
    description = "The id under which the event was requested."
  }
  column "event_type" {
    type        = string
    role        = "type"
    from        = ["type"]
    description = "The vendor's name for the kind of event, as it came."
  }
  column "event_date" {
    type        = date
    value       = "date"
    description = "UTC day of event_time, or of created_at where there is none."
  }
  column "event_time" {
    type        = timestamp
    role        = "time"
    from        = ["eventTime"]
    description = "When it happened."
  }
  column "created_at" {
    type        = timestamp
    role        = "created"
    from        = ["createdAt"]
    description = "When Knock recorded it."
  }
  column "description" {
    type        = string
    from        = ["description"]
    description = "The vendor's sentence about the event."
  }
  column "source_title" {
    type        = string
    from        = ["source.title"]
    description = "Where the prospect came from."
  }
  column "agent_username" {
    type        = string
    from        = ["agent.username"]
    description = "The leasing agent."
  }
  column "appointment_start_time" {
    type        = timestamp
    from        = ["data.startTime"]
    when        = ["APPOINTMENT_*"]
    description = "When the tour begins."
  }
  column "appointment_end_time" {
    type        = timestamp
    from        = ["data.endTime"]
    when        = ["APPOINTMENT_*"]
    description = "When the tour ends."
  }
  column "appointment_status" {
    type        = string
    from        = ["data.status"]
    when        = ["APPOINTMENT_*"]
    description = "confirmed, cancelled, …"
  }
  column "appointment_tour_type" {
    type        = string
    from        = ["data.tourType"]
    when        = ["APPOINTMENT_*"]
    description = "IN_PERSON, VIRTUAL, …"
  }
  column "message_direction" {
    type        = string
    from        = ["data.direction", "data.messageDirection"]
    description = "inbound (from the prospect) or outbound."
  }
  column "message_from" {
    type        = string
    from        = ["data.from", "data.sender", "data.fromAddress", "data.fromNumber"]
    pii         = true
    description = "Who sent it: an address, a number or a name."
  }
  column "message_to" {
    type        = string
    from        = ["data.to", "data.recipient", "data.toAddress", "data.toNumber"]
    pii         = true
    description = "Who received it."
  }
  column "message_subject" {
    type        = string
    from        = ["data.subject", "data.title"]
    pii         = true
    description = "The subject of an e-mail."
  }
  column "message_body" {
    type        = string
    from        = ["data.body", "data.text", "data.message", "data.content"]
    pii         = true
    description = "The text of the message."
  }
  column "extra_json" {
    type        = string
    value       = "extra"
    pii         = true
    description = "Every field that no column took, as one JSON object with sorted keys; NULL when there is none."
  }
}

package gcs

import (
	"cmp"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"google.golang.org/api/googleapi"
)

// refusal is a response of the service, or of the service that issues tokens, that
// reports an error. It has nothing of the response's free text, which can contain e-mail
// addresses of accounts.
type refusal struct {
	status int
	// reason is the machine-readable reason, as the service writes it. It is "" if the
	// response has none.
	reason string
	// constraint is the constraint of an organization policy that the request violates,
	// such as "constraints/gcp.resourceLocations", or "".
	constraint string
	advice     *advice
}

// Error returns the status and the reason: "403 retentionPolicyNotMet".
func (r *refusal) Error() string {
	text := fmt.Sprintf("%d %s", r.status, cmp.Or(r.reason, http.StatusText(r.status)))
	if r.constraint != "" {
		text += " (" + r.constraint + ")"
	}
	return text
}

// is reports whether the refusal has the advice for a reason.
func (r *refusal) is(reason string) bool { return r.advice != nil && r.advice == find(reason) }

// refusalOf returns what a response of the service says.
func refusalOf(e *googleapi.Error) *refusal {
	text := e.Message + " " + e.Body
	var reasons []string
	for _, item := range e.Errors {
		reasons = append(reasons, item.Reason)
		text += " " + item.Message
	}
	return newRefusal(e.Code, append(reasons, reasonsIn([]byte(e.Body))...), text)
}

// newRefusal selects the most specific of the reasons. Text is the complete response. It
// is only searched for signs.
func newRefusal(status int, reasons []string, text string) *refusal {
	r := &refusal{status: status}
	for _, reason := range reasons {
		if !token.MatchString(reason) {
			continue
		}
		if a := find(reason); r.reason == "" || a != nil && (r.advice == nil || r.advice.general && !a.general) {
			r.reason, r.advice = reason, a
		}
	}
	if r.advice == nil || r.advice.general {
		if a := find(cmp.Or(signIn(status, text), byStatus(status))); a != nil {
			r.advice = a
		}
	}
	if r.is("orgPolicyConstraintFailed") {
		r.constraint = constraint.FindString(text)
	}
	return r
}

var (
	// token matches a reason. A text with blanks, an address or a URL is not one.
	token = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]{0,63}$`)
	// constraint matches the name of a constraint of an organization policy.
	constraint = regexp.MustCompile(`\bconstraints/[A-Za-z][A-Za-z0-9]*(\.[A-Za-z][A-Za-z0-9]*){1,3}\b`)
)

// reasonsIn returns the reasons in the body of a response, which is JSON in one of the
// forms of https://cloud.google.com/storage/docs/json_api/v1/status-codes and
// https://cloud.google.com/apis/design/errors, the JSON of RFC 6749, or XML as in
// https://cloud.google.com/storage/docs/xml-api/reference-status. It returns none for
// another body.
func reasonsIn(body []byte) (reasons []string) {
	var inXML struct {
		XMLName xml.Name `xml:"Error"`
		Code    string
	}
	if xml.Unmarshal(body, &inXML) == nil {
		return []string{strings.TrimSpace(inXML.Code)}
	}
	var inJSON struct {
		Error json.RawMessage
	}
	if json.Unmarshal(body, &inJSON) != nil {
		return nil
	}
	var code string
	if json.Unmarshal(inJSON.Error, &code) == nil {
		return []string{code}
	}
	var e struct {
		Status  string
		Errors  []struct{ Reason string }
		Details []struct {
			Reason     string
			Violations []struct{ Type string }
		}
	}
	_ = json.Unmarshal(inJSON.Error, &e) // what it could decode is used
	for _, item := range e.Errors {
		reasons = append(reasons, item.Reason)
	}
	for _, detail := range e.Details {
		reasons = append(reasons, detail.Reason)
		for _, violation := range detail.Violations {
			reasons = append(reasons, violation.Type)
		}
	}
	return append(reasons, e.Status)
}

// signs are parts of the service's messages, in lower case, with the reasons that they
// indicate. The service returns some errors with a general reason such as "forbidden",
// and explains them only in the message.
var signs = []struct{ part, reason string }{
	{"active temporary hold", "objectUnderActiveHold"},
	{"active event-based hold", "objectUnderActiveHold"},
	{"permission denied on cloud kms key", "kmsPermissionDenied"},
	{"vpcservicecontrolsuniqueidentifier", "vpcServiceControls"},
	{"violates vpc service controls", "vpcServiceControls"},
	{"requester pays bucket", "userProjectMissing"},
	{"serviceusage.services.use", "UserProjectAccessDenied"},
	{"billing account", "accountDisabled"},
	{"billing disabled", "accountDisabled"},
	{"bucket does not exist", "NoSuchBucket"},
}

func signIn(status int, text string) (reason string) {
	text = strings.ToLower(text)
	switch { // other messages can have these words in the name of an object
	case status == http.StatusBadRequest && strings.Contains(text, "storage class"):
		return "invalidStorageClass"
	case status == http.StatusPreconditionFailed && strings.Contains(text, "constraints/"):
		return "orgPolicyConstraintFailed"
	}
	for _, sign := range signs {
		if strings.Contains(text, sign.part) {
			return sign.reason
		}
	}
	return ""
}

// byStatus returns a reason that stands for all errors with a status.
func byStatus(status int) string {
	switch {
	case status == http.StatusBadRequest:
		return "invalid"
	case status == http.StatusUnauthorized:
		return "authError"
	case status == http.StatusForbidden:
		return "forbidden"
	case status == http.StatusMethodNotAllowed:
		return "methodNotAllowed"
	case status == http.StatusRequestTimeout:
		return "uploadBrokenConnection"
	case status == http.StatusConflict:
		return "conflict"
	case status == http.StatusTooManyRequests:
		return "rateLimitExceeded"
	case status >= 500:
		return "backendError"
	}
	return ""
}

package gcs

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"prospector/internal/attribute"
)

// Options determine how a Store reaches the service and how it writes objects. They do
// not determine which objects it has. The zero value means the defaults.
type Options struct {
	// Credentials are a key in JSON, or the path of a file with one. If they are empty,
	// the application-default credentials are used.
	Credentials attribute.Secret
	// ImpersonateServiceAccount is the e-mail address of a service account. If it is not
	// empty, the credentials are used only to get tokens of that account.
	ImpersonateServiceAccount string
	// UserProject is the project that pays for the requests, and whose quota they use.
	UserProject string
	// Endpoint is the root URL of the service, or "" for https://storage.googleapis.com.
	Endpoint string

	// KMSKeyName is the Cloud KMS key that encrypts new objects, StorageClass is their
	// storage class, and Metadata is their custom metadata. If a value is empty, new
	// objects have the default of the bucket.
	KMSKeyName   string
	StorageClass string
	Metadata     map[string]string

	// Timeout is how long an attempt may move no data, or almost none. A call makes more
	// attempts until it has made no progress for ten times as long. 0 means 30 seconds.
	Timeout time.Duration
	// Uploads is a private directory for unfinished uploads, or "" to forget them.
	Uploads string
	// Parallelism is how many requests the callers should send at a time. 0 means 16.
	Parallelism int
}

// storageClasses are those of https://cloud.google.com/storage/docs/storage-classes.
var storageClasses = []string{"STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE"}

// attributes returns the attributes of a sink or backend that set the options.
func (o *Options) attributes() []attribute.Attribute {
	all := []attribute.Attribute{
		{Name: "credentials", Value: &o.Credentials, File: true, Check: func(string) *attribute.Problem {
			return sentence("credentials", "Invalid credentials", o.checkCredentials())
		}},
		{Name: "impersonate_service_account", Value: &o.ImpersonateServiceAccount, Check: func(shown string) *attribute.Problem {
			return problem("impersonate_service_account", "Invalid service account", shown, checkServiceAccount(o.ImpersonateServiceAccount))
		}},
		{Name: "user_project", Value: &o.UserProject, Check: func(shown string) *attribute.Problem {
			return problem("user_project", "Invalid project", shown, checkProject(o.UserProject))
		}},
		{Name: "kms_key_name", Value: &o.KMSKeyName, Check: func(shown string) *attribute.Problem {
			return problem("kms_key_name", "Invalid encryption key", shown, checkKMSKey(o.KMSKeyName))
		}},
		{Name: "storage_class", Value: &o.StorageClass, Choices: storageClasses},
		{Name: "endpoint", Value: &o.Endpoint, Check: func(shown string) *attribute.Problem {
			err := checkEndpoint(o.Endpoint)
			if errors.Is(err, errPassword) {
				shown = "(hidden)" // the text before the @ is often a password
			}
			o.Endpoint = strings.TrimSuffix(strings.TrimRight(o.Endpoint, "/"), strings.TrimRight(apiPath, "/"))
			return problem("endpoint", "Invalid URL", shown, err)
		}},
		{Name: "metadata", Value: &o.Metadata, Check: func(keys string) *attribute.Problem {
			return sentence("metadata", "Invalid metadata", checkMetadata(o.Metadata, keys))
		}},
		{Name: "timeout", Value: &o.Timeout, MinDuration: time.Second},
		{Name: "parallelism", Value: &o.Parallelism, Min: 1, Max: 256},
	}
	for i := range all {
		all[i].Auxiliary = true
	}
	return all
}

// sentence returns a problem whose detail is err.
func sentence(name, summary string, err error) *attribute.Problem {
	if err == nil {
		return nil
	}
	text := err.Error()
	return attribute.NewProblem(name, summary, "%s%s.", strings.ToUpper(text[:1]), text[1:])
}

// checkCredentials checks the content of a key. A file may be missing where the
// configuration is only validated.
func (o *Options) checkCredentials() error {
	if !isContent(o.Credentials) {
		return nil
	}
	_, err := readKey(o.Credentials)
	return err
}

var (
	serviceAccount = regexp.MustCompile(`^[a-z0-9-]+@[a-z0-9.-]*gserviceaccount\.com$`)
	project        = regexp.MustCompile(`^([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]$`)
	projectNumber  = regexp.MustCompile(`^[1-9][0-9]{5,}$`)
	kmsKey         = regexp.MustCompile(`^projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+$`)
)

// The errors of the functions below complete a sentence about the value.

func checkServiceAccount(email string) error {
	switch {
	case email == "" || serviceAccount.MatchString(email):
		return nil
	case strings.HasPrefix(email, "serviceAccount:"):
		return errors.New("has the prefix serviceAccount:, which belongs to IAM policies: use the e-mail address alone")
	case strings.Contains(email, "@"):
		return errors.New("is not the e-mail address of a service account, which ends with gserviceaccount.com, as in lake@acme.iam.gserviceaccount.com")
	}
	return errors.New("is not an e-mail address, such as lake@acme.iam.gserviceaccount.com")
}

func checkProject(id string) error {
	switch {
	case id == "" || project.MatchString(id) || projectNumber.MatchString(id):
		return nil
	case strings.HasPrefix(id, "projects/"):
		return errors.New("has the prefix projects/: use the ID of the project alone")
	}
	return errors.New("is not the ID of a project: 6 to 30 lower-case letters, digits and hyphens, such as acme-billing")
}

func checkKMSKey(name string) error {
	const form = "projects/PROJECT/locations/LOCATION/keyRings/RING/cryptoKeys/KEY"
	switch {
	case name == "" || kmsKey.MatchString(name):
		return nil
	case strings.Contains(name, "/cryptoKeyVersions/"):
		return errors.New("names a version of a key: end it before /cryptoKeyVersions, so that the primary version is used")
	}
	return errors.New("is not the full name of a Cloud KMS key, which has the form " + form)
}

// errPassword means that a URL has a user or a password.
var errPassword = errors.New("contains a user or a password: set credentials instead")

// checkEndpoint refuses an endpoint to which tokens and rows would be sent unencrypted.
func checkEndpoint(text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	switch {
	case err == nil && u.User != nil || strings.Contains(text, "@"):
		return errPassword
	case err != nil:
		return errors.New("is not a URL, such as https://storage.googleapis.com")
	case u.Scheme != "https" && u.Scheme != "http":
		return errors.New("does not begin with https://, as in https://storage.googleapis.com")
	case u.Hostname() == "":
		return errors.New("has no host")
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(text, "#"):
		return errors.New("has a query or a fragment, which is not supported")
	case strings.Trim(u.Path, "/") != "" && strings.Trim(u.Path, "/") != strings.Trim(apiPath, "/"):
		return errors.New("has a path: end it after the host")
	case !isSecure(text):
		return errors.New("is neither https nor on this machine, so credentials and rows would be sent unencrypted: use https")
	}
	return nil
}

// maxMetadata is the limit in bytes. The service allows 8 KiB, including the identifier
// of a write: https://cloud.google.com/storage/quotas#objects.
const maxMetadata = 8<<10 - 64

// metadataKey matches keys that can be part of the HTTP header x-goog-meta-KEY.
var metadataKey = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)

// checkMetadata returns an error about metadata with those keys.
func checkMetadata(metadata map[string]string, keys string) error {
	size := 0
	seen := make(map[string]bool)
	for _, key := range slices.Sorted(maps.Keys(metadata)) {
		value := metadata[key]
		size += len(key) + len(value)
		folded := strings.ToLower(key)
		switch {
		case !metadataKey.MatchString(key):
			return fmt.Errorf("the keys of metadata must have only letters, digits, hyphens, underscores and dots; they are %s", keys)
		case strings.HasPrefix(folded, "prospector-"):
			return fmt.Errorf("keys of metadata that begin with prospector- are reserved; the keys are %s", keys)
		case seen[folded]:
			return fmt.Errorf("two keys of metadata differ only in case, which HTTP headers do not distinguish; they are %s", keys)
		case strings.ContainsFunc(value, func(r rune) bool { return r < 0x20 || r > 0x7e }) || strings.TrimSpace(value) != value:
			return fmt.Errorf("the values of metadata must have only printable ASCII characters and no spaces at their ends, because they become HTTP headers; the keys are %s", keys)
		}
		seen[folded] = true
	}
	if size > maxMetadata {
		return fmt.Errorf("the metadata has %d bytes in total; the limit is %d", size, maxMetadata)
	}
	return nil
}

package gcs

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"cloud.google.com/go/auth/credentials"

	"prospector/internal/attribute"
)

// key is the content of a file of credentials.
type key struct {
	kind    credentials.CredType
	content []byte
}

// keyFields are the fields that each type of key needs. The formats are those of
// https://google.aip.dev/auth/4110.
var keyFields = map[credentials.CredType][]string{
	credentials.ServiceAccount:             {"client_email", "private_key"},
	credentials.AuthorizedUser:             {"client_id", "client_secret", "refresh_token"},
	credentials.ExternalAccount:            {"audience", "subject_token_type", "token_url", "credential_source"},
	credentials.ImpersonatedServiceAccount: {"service_account_impersonation_url", "source_credentials"},
}

// errUnusableKey means that the client library refused a key.
var errUnusableKey = errors.New("the credentials are not a usable key: create and download them again")

// maxKey is the maximum length of a file of credentials, in bytes.
const maxKey = 1 << 20

// readKey returns the key that credentials are: its content, or the path of a file that
// contains it. No error contains the credentials, nor a path, because what looks like a
// path may be a key in another encoding.
func readKey(text attribute.Secret) (key, error) {
	content := []byte(text.Reveal())
	if !isContent(text) {
		var err error
		if content, err = readKeyFile(text.Reveal()); err != nil {
			return key{}, err
		}
	}
	return parseKey(content)
}

// isContent reports whether credentials are the content of a key, not a path.
func isContent(text attribute.Secret) bool {
	return strings.HasPrefix(strings.TrimSpace(text.Reveal()), "{")
}

func readKeyFile(path string) ([]byte, error) {
	var content []byte
	f, err := os.Open(path)
	if err == nil {
		defer f.Close()
		content, err = io.ReadAll(io.LimitReader(f, maxKey+1))
	}
	if err != nil {
		return nil, fmt.Errorf("credentials is neither a key in JSON nor the path of a file that can be read: %w; a relative path begins in the directory of the configuration", reason(err))
	}
	if len(content) > maxKey {
		return nil, errors.New("the file that credentials names is larger than 1 MiB, so it is not a key")
	}
	return content, nil
}

// reason returns an error without the path that it is about.
func reason(err error) error {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		return e.Err
	}
	return errors.New("it cannot be read")
}

// parseKey checks that content is a key of a supported type, with the fields that the
// type needs.
func parseKey(content []byte) (key, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(content, &fields); err != nil {
		if e, ok := errors.AsType[*json.SyntaxError](err); ok {
			return key{}, fmt.Errorf("the credentials are not a key in JSON: there is an error at byte %d of %d", e.Offset, len(content))
		}
		return key{}, errors.New("the credentials are not a key: a key is a JSON object")
	}
	kind := credentials.CredType(stringOf(fields["type"]))
	needed, ok := keyFields[kind]
	switch {
	case fields["type"] == nil && (fields["installed"] != nil || fields["web"] != nil):
		return key{}, errors.New("the credentials are the OAuth client of an application, not a key: use the key of a service account")
	case !ok:
		return key{}, fmt.Errorf("the credentials have a type that is not supported; use a key of the type %s", keyTypes())
	}
	for _, name := range needed {
		switch string(fields[name]) {
		case "", "null", `""`:
			return key{}, fmt.Errorf("the credentials, of the type %s, lack the field %s: create and download them again", kind, name)
		}
	}
	for _, name := range []string{"token_uri", "token_url", "service_account_impersonation_url"} {
		if text := stringOf(fields[name]); text != "" && !isSecure(text) {
			return key{}, fmt.Errorf("the field %s of the credentials is a URL that is neither https nor on this machine, so secrets would be sent unencrypted: create and download them again", name)
		}
	}
	if kind == credentials.ServiceAccount {
		if err := checkPrivateKey(stringOf(fields["private_key"])); err != nil {
			return key{}, err
		}
	}
	return key{kind, content}, nil
}

// checkPrivateKey checks what the client library would report only with the first token,
// and together with other errors.
func checkPrivateKey(text string) error {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return errors.New("the private_key of the credentials is not in PEM format: check that the line breaks in it are still there, or download a new key")
	}
	_, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		_, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	}
	if err != nil {
		return errors.New("the private_key of the credentials is damaged: download a new key")
	}
	return nil
}

// stringOf returns the text of a JSON string, or "".
func stringOf(raw json.RawMessage) (text string) {
	_ = json.Unmarshal(raw, &text) // another type of value leaves it empty
	return text
}

func keyTypes() string {
	var names []string
	for kind := range keyFields {
		names = append(names, string(kind))
	}
	slices.Sort(names)
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}

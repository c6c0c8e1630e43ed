package gcs

import (
	"bytes"
	"testing"
)

// An error about a key does not contain a part of it.
func FuzzParseKey(f *testing.F) {
	for _, content := range []string{
		"", "{", "[]", "null", `{"type": 5}`, `{"type": "service_account"}`,
		`{"type": "service_account", "client_email": "a", "private_key": "-----BEGIN PRIVATE KEY-----\naHVudGVyMg==\n-----END PRIVATE KEY-----\n"}`,
		`{"type": "authorized_user", "client_id": "a", "client_secret": "b", "refresh_token": "c"}`,
		`{"type": "external_account", "audience": "a", "subject_token_type": "b", "token_url": "http://example.com", "credential_source": {}}`,
		`{"installed": {"client_secret": "a"}}`,
	} {
		f.Add([]byte(content))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		key, err := parseKey(content)
		if err == nil {
			if keyFields[key.kind] == nil || !bytes.Equal(key.content, content) {
				t.Errorf("the key has the type %q and %d bytes", key.kind, len(key.content))
			}
			return
		}
		const part = 40 // longer than the names that errors contain
		for text := []byte(err.Error()); len(text) >= part; text = text[1:] {
			if bytes.Contains(content, text[:part]) {
				t.Errorf("the error contains %q: %v", text[:part], err)
			}
		}
	})
}

package attribute

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestSecretIsNeverPrinted(t *testing.T) {
	s := struct{ APIKey Secret }{"hunter2"}
	encoded, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("source", "key", s.APIKey, "source", s)
	for _, text := range []string{
		fmt.Sprint(s), fmt.Sprintf("%+v", s), fmt.Sprintf("%#v", s), fmt.Sprintf("%s %q", s.APIKey, s.APIKey), string(encoded), log.String(),
	} {
		if strings.Contains(text, "hunter2") {
			t.Errorf("the output contains the key: %s", text)
		}
	}
	if s.APIKey.Reveal() != "hunter2" {
		t.Error("Reveal does not return the key")
	}
}

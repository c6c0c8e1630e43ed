package read

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"prospector/extract"
	"prospector/internal/attribute"
	"prospector/jobs"
)

// Open opens a source of one of the kinds. It makes no requests.
func Open(ctx context.Context, kinds extract.Kinds, from jobs.Source, userAgent string, logger *slog.Logger) (extract.Source, error) {
	kind := kinds.Find(from.Kind)
	if kind == nil {
		return nil, fmt.Errorf("there is no kind of source %q", from.Kind)
	}
	source, err := kind.Open(ctx, from.Settings, extract.Requests{
		PageSize: from.PageSize, RequestsPerSecond: from.RequestsPerSecond,
		Timeout: from.Timeout, MaxAttempts: from.MaxAttempts,
		UserAgent: userAgent, Logger: logger,
	})
	if p, ok := errors.AsType[*attribute.Problem](err); ok {
		return nil, from.Diagnose(p.Attribute, p.Summary, p.Detail)
	}
	return source, err
}

// JournalAge is how old the journal of an interrupted run may be. The events in an
// older one are outdated.
const JournalAge = 12 * time.Hour

// Binding identifies everything that a page of a job depends on besides the prospect
// and the cursor. It is stored on disk. It is a digest because a source may depend on
// a secret.
func Binding(job string, source extract.Source) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q %s", job, source.Binding())
	return hex.EncodeToString(h.Sum(nil)[:16])
}

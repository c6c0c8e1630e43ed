package local

import (
	"context"
	"fmt"
	"time"
)

// Written implements store.Dated.
func (s *Store) Written(ctx context.Context, key string) (time.Time, error) {
	f, info, err := s.open(ctx, key)
	if err != nil {
		return time.Time{}, fmt.Errorf("describing %s: %w", s.URI(key), err)
	}
	return info.ModTime, f.Close()
}

package store_test

import (
	"context"
	"errors"
	"fmt"

	"prospector/sink/store"
	"prospector/sink/store/memory"
)

// Replace an object only if it is still the one that was read.
func Example() {
	ctx := context.Background()
	s := memory.New()
	defer s.Close()

	first, err := s.Put(ctx, "table/part-00000.parquet", store.ContentOf([]byte("one"), ""), store.IfAbsent())
	if err != nil {
		panic(err)
	}
	if _, err := s.Put(ctx, first.Key, store.ContentOf([]byte("two"), ""), store.IfGeneration(first.Generation)); err != nil {
		panic(err)
	}
	// The generation is that of the first object, which is gone.
	_, err = s.Put(ctx, first.Key, store.ContentOf([]byte("three"), ""), store.IfGeneration(first.Generation))
	fmt.Println("refused:", errors.Is(err, store.ErrCondition))

	for entry, err := range s.List(ctx, "table/") {
		if err != nil {
			panic(err)
		}
		fmt.Println(entry.Key, entry.Size, "bytes")
	}
	// Output:
	// refused: true
	// table/part-00000.parquet 3 bytes
}

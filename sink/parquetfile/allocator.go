package parquetfile

import "github.com/apache/arrow/go/v15/arrow/memory"

// The library's default allocator is replaced because the pool of the buffers for
// definition levels uses no other. Where NULLs and values alternate, version 15
// grows such a buffer by 64 bytes at a time, and copies all of it each time. With
// the library's own allocator, an apply of 200,000 events in one partition takes
// 1.5 times the processor time, and writing 1,000,000 rows allocates 22 GB instead
// of 0.7 GB.
func init() { memory.DefaultAllocator = &roomy{} }

// roomy is Go's allocator, except that a buffer that grows gets room to grow again.
type roomy struct{ memory.GoAllocator }

// maxRoom limits that room. A buffer with one huge text does not grow again.
const maxRoom = 4 << 20

func (r *roomy) Reallocate(size int, b []byte) []byte {
	if size > cap(b) {
		grown := r.Allocate(size + min(size/2, maxRoom))
		copy(grown, b)
		return grown[:size]
	}
	return b[:size]
}

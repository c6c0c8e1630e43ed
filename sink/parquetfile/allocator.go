package parquetfile

import "github.com/apache/arrow/go/v15/arrow/memory"

// init replaces the library's default allocator, because the library's pool of buffers
// for definition levels always uses that one. Where NULLs and values alternate, version
// 15 grows such a buffer by 64 bytes at a time, and copies it completely each time. With
// the library's own allocator, an apply of 200,000 events in one partition takes 1.5
// times the processor time, and writing 1,000,000 rows allocates 22 GB instead of 0.7 GB.
func init() { memory.DefaultAllocator = &roomy{} }

// roomy is Go's allocator, but when a buffer grows, it reserves room for further growth.
type roomy struct{ memory.GoAllocator }

// maxRoom limits that room, because a buffer with one huge text does not grow again.
const maxRoom = 4 << 20

func (r *roomy) Reallocate(size int, b []byte) []byte {
	if size > cap(b) {
		grown := r.Allocate(size + min(size/2, maxRoom))
		copy(grown, b)
		return grown[:size]
	}
	return b[:size]
}

package parquetfile

import "github.com/apache/arrow/go/v15/arrow/memory"

// Where NULLs and values alternate, v15 makes the buffer of a page's definition
// levels larger by 64 bytes at a time, copying all of it each time; and it takes
// those buffers from a pool, where they may be as large as a page. That took two
// thirds of the time of writing such a column. The pool has no other allocator
// than the library's default one.
func init() { memory.DefaultAllocator = &roomy{} }

// roomy is Go's allocator, but what grows once has room to grow again.
type roomy struct{ memory.GoAllocator }

// maxRoom bounds that room: a buffer that holds one huge text does not grow again.
const maxRoom = 4 << 20

func (r *roomy) Reallocate(size int, b []byte) []byte {
	if size > cap(b) {
		grown := r.Allocate(size + min(size/2, maxRoom))
		copy(grown, b)
		return grown[:size]
	}
	return b[:size]
}

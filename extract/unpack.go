package extract

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// maxPackings limits how often a body may be compressed: a proxy may compress a body
// that the API has already compressed.
const maxPackings = 3

// unpack decompresses a body. The first bytes of the body identify the compression,
// because no JSON begins like them. unpack ignores the headers, which may be wrong. A
// body that is not compressed is returned unchanged. The error is ErrTooLarge if the
// result is longer than limit, and otherwise transient.
//
// large is as in readAll. spare is memory to use. The results use the memory of body and
// spare, or larger memory.
func unpack(body, spare []byte, limit int64, large func() error) (unpacked, unused []byte, err error) {
	for range maxPackings {
		format, open := packing(body)
		if open == nil {
			break
		}
		r, err := open(bytes.NewReader(body))
		if err == nil {
			spare, err = readAll(spare[:0], r, -1, limit, large)
			r.Close()
		}
		switch {
		case errors.Is(err, ErrTooLarge):
			return body, spare, err
		case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
			return body, spare, transient{fmt.Errorf("it ends early: its %s data is incomplete", format)}
		case err != nil:
			return body, spare, transient{fmt.Errorf("its %s data is damaged", format)}
		}
		body, spare = spare, body
	}
	return body, spare, nil
}

// packing returns the name of a body's compression, and a function that opens it. The
// function is nil if the body is not compressed.
func packing(body []byte) (format string, open func(io.Reader) (io.ReadCloser, error)) {
	switch {
	case bytes.HasPrefix(body, []byte{0x1f, 0x8b}):
		return "gzip", openGzip
	case bytes.HasPrefix(body, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return "zstd", openZstd
	case len(body) >= 2 && body[0] == 0x78 && (uint(body[0])<<8|uint(body[1]))%31 == 0:
		return "deflate", zlib.NewReader // HTTP calls the zlib format deflate
	}
	return "", nil
}

var gzips = sync.Pool{New: func() any { return new(gzip.Reader) }}

// pooled is a gzip.Reader that goes back to its pool.
type pooled struct{ *gzip.Reader }

func (p pooled) Close() error {
	gzips.Put(p.Reader)
	return nil
}

func openGzip(r io.Reader) (io.ReadCloser, error) {
	z := gzips.Get().(*gzip.Reader)
	if err := z.Reset(r); err != nil {
		gzips.Put(z)
		return nil, err
	}
	return pooled{z}, nil
}

func openZstd(r io.Reader) (io.ReadCloser, error) {
	// HTTP allows windows of up to 8 MB (RFC 9659).
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(8<<20))
	if err != nil {
		return nil, err
	}
	return z.IOReadCloser(), nil
}

// byteOrderMark is U+FEFF, which some servers send before the JSON.
var byteOrderMark = []byte("\ufeff")

// withoutMark removes byte-order marks from the beginning of a body.
func withoutMark(body []byte) []byte {
	for {
		rest, ok := bytes.CutPrefix(bytes.TrimLeft(body, " \t\r\n"), byteOrderMark)
		if !ok {
			return body
		}
		body = rest
	}
}

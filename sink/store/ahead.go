package store

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"
)

// Ahead opens objects for random access before they are needed. It opens them in their
// order, and as many at a time as each store serves well. So their latencies overlap
// with each other, and with the work on objects that are open already.
type Ahead struct {
	dir      string
	disk     *semaphore.Weighted
	requests map[Store]*semaphore.Weighted
	ended    <-chan struct{}
	cancel   context.CancelFunc
	opener   sync.WaitGroup

	mu sync.Mutex
	// pending are the objects that Open has not returned yet. The value is nil until
	// the object is being opened.
	pending map[Located]chan opened
}

// Located is an object and the store that has it.
type Located struct {
	From Store // its dynamic type is comparable
	Object
}

type opened struct {
	file File
	err  error
}

// aheadBytes limits how many bytes of copies are on disk before they are needed.
const aheadBytes = 1 << 30

// OpenAhead starts to open the objects. Copies of remote objects go to dir: see
// OpenFile. At most limit objects of each store are being opened at a time, and fewer if
// its Concurrency is less. As many more are open and not needed yet. The caller closes
// the Ahead.
func OpenAhead(ctx context.Context, dir string, limit int, objects []Located) *Ahead {
	ctx, cancel := context.WithCancel(ctx)
	a := &Ahead{
		dir: dir, disk: semaphore.NewWeighted(aheadBytes), requests: make(map[Store]*semaphore.Weighted),
		ended: ctx.Done(), cancel: cancel, pending: make(map[Located]chan opened, len(objects)),
	}
	queues := make(map[Store][]Located)
	for _, o := range objects {
		if _, twice := a.pending[o]; !twice {
			a.pending[o] = nil
			queues[o.From] = append(queues[o.From], o)
		}
	}
	width := func(from Store) int { return max(1, min(limit, Concurrency(from))) }
	for from := range queues {
		a.requests[from] = semaphore.NewWeighted(int64(width(from)))
	}
	for from, queue := range queues {
		a.openAll(ctx, 2*width(from), queue)
	}
	return a
}

// openAll starts to open the objects of one store, in their order. At most limit of them
// are being opened, or are open and not needed yet.
func (a *Ahead) openAll(ctx context.Context, limit int, queue []Located) {
	next := make(chan Located)
	for range min(limit, len(queue)) {
		a.opener.Go(func() {
			for o := range next {
				a.open(ctx, o)
			}
		})
	}
	a.opener.Go(func() {
		defer close(next)
		for _, o := range queue {
			select {
			case next <- o:
			case <-ctx.Done():
				return
			}
		}
	})
}

// open opens an object, and keeps it until it is needed.
func (a *Ahead) open(ctx context.Context, o Located) {
	size := min(o.Size, aheadBytes)
	if a.disk.Acquire(ctx, size) != nil {
		return
	}
	defer a.disk.Release(size)
	var done chan opened
	file, err := a.request(ctx, o, func() bool {
		done = a.start(o)
		return done != nil
	})
	if done == nil {
		return
	}
	select {
	case done <- opened{file, err}:
	case <-ctx.Done():
		if err == nil {
			file.Close()
		}
	}
}

// request calls OpenFile when the store serves few enough other requests, unless the
// object is no longer needed then.
func (a *Ahead) request(ctx context.Context, o Located, needed func() bool) (File, error) {
	if requests := a.requests[o.From]; requests != nil {
		if requests.Acquire(ctx, 1) != nil {
			return nil, context.Cause(ctx)
		}
		defer requests.Release(1)
	}
	if !needed() {
		return nil, nil
	}
	return OpenFile(ctx, o.From, o.Object, a.dir)
}

// start returns the channel on which Open waits for an object, or nil if Open has
// already opened the object itself.
func (a *Ahead) start(o Located) (done chan opened) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, needed := a.pending[o]; needed {
		done = make(chan opened)
		a.pending[o] = done
	}
	return done
}

// Open opens an object for random access. If the object is already open or being
// opened, Open returns that file, once. Otherwise it calls OpenFile, like one of the
// requests in advance. So objects may be opened in any order, and several times, but the
// advantage is lost.
func (a *Ahead) Open(ctx context.Context, o Located) (File, error) {
	a.mu.Lock()
	done := a.pending[o]
	delete(a.pending, o)
	a.mu.Unlock()
	if done != nil {
		select {
		case result := <-done:
			return result.file, result.err
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-a.ended:
		}
	}
	return a.request(ctx, o, func() bool { return true })
}

// Close stops opening objects, and closes those that Open has not returned.
func (a *Ahead) Close() {
	a.cancel()
	a.opener.Wait()
}

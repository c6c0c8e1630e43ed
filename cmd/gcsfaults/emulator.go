package main

import (
	"context"
	"net/http"

	"github.com/fsouza/fake-gcs-server/fakestorage"

	"prospector/sink/store/gcs/gcsfault"
)

// bucket is the name of the emulator's bucket.
const bucket = "faults"

// emulator is Cloud Storage on a loopback port, with one bucket, behind a proxy that
// injects faults.
type emulator struct {
	url     string
	proxy   *gcsfault.Proxy
	storage *fakestorage.Server // without faults
	server  *http.Server
}

// startEmulator starts an emulator. The caller must close it.
func startEmulator(ctx context.Context, addr string, faithful *gcsfault.Faithful, opts gcsfault.Options) (*emulator, error) {
	storage, err := fakestorage.NewServerWithOptions(fakestorage.Options{NoListener: true})
	if err != nil {
		return nil, err
	}
	storage.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: bucket})
	faithful.Service = storage.HTTPHandler()
	proxy := gcsfault.New(faithful, opts)
	listener, err := gcsfault.Listen(ctx, addr)
	if err != nil {
		return nil, err
	}
	e := &emulator{url: "http://" + listener.Addr().String(), proxy: proxy, storage: storage, server: &http.Server{Handler: proxy}}
	go e.server.Serve(listener) //nolint:errcheck // it ends with close
	return e, nil
}

// close ends all requests.
func (e *emulator) close() {
	e.proxy.Close()
	e.server.Close()
	e.storage.Stop()
}

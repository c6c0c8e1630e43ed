package extract_test

import (
	"context"
	"fmt"
	"net/http/httptest"

	"prospector/extract"
	"prospector/extract/knocksim"
)

// Read all events of one prospect. The simulator replaces the API.
func Example() {
	api, err := knocksim.New(knocksim.Options{Seed: 1, Prospects: 1, Events: 5})
	if err != nil {
		panic(err)
	}
	server := httptest.NewServer(api)
	defer server.Close()

	client, err := extract.New(extract.Options{
		Endpoint: server.URL,
		APIKey:   knocksim.DefaultAPIKey,
		PageSize: 2,
		Limiter:  extract.NewLimiter(1000), // requests per second
	})
	if err != nil {
		panic(err)
	}
	defer client.Close()

	for prospect := range api.ProspectIDs() {
		for page, err := range client.Pages(context.Background(), prospect, extract.Position{}) {
			if err != nil {
				panic(err)
			}
			fmt.Printf("page %d, events: %d\n", page.Number, page.Events)
		}
	}
	fmt.Println("requests:", client.Stats().Requests)
	// Output:
	// page 0, events: 2
	// page 1, events: 2
	// page 2, events: 1
	// requests: 3
}

package extract

import (
	"context"
	"fmt"
	"iter"
)

// Page is one page of a prospect's events. Its body is as the API sent it, except that
// compression and a byte-order mark are removed.
type Page struct {
	Number int    // 0-based within the prospect
	Cursor string // of the request; "" for the first page
	Next   string // cursor of the next page; "" if this is the last one
	Events int    // length of edges
	// Body is an object whose members jsontext.Members separates: pageInfo, an object
	// that is valid JSON, and edges, which is null (see Silent) or an array that
	// jsontext.Elements separates. Neither occurs twice. An edge may be any text:
	// invalid JSON, invalid UTF-8, or nested as deep as the size allows. The receiver
	// owns Body.
	Body []byte

	more bool  // the page says that there is a next one
	turn *turn // nil if the page did not wait for a turn
}

// HasTurn reports whether the page has the turn of large pages. If it does, the receiver
// must not wait for Turn. A page of less than 4 MiB can have the turn, because a page
// takes it before its buffer grows beyond that size.
func (p Page) HasTurn() bool { return p.turn != nil && p.turn.taken }

// Position is where the reading of a prospect begins. The zero value is the start. To read a
// page again, use its own Number and Cursor. To continue after a page, use Page.After.
type Position struct {
	Number int    // of the page to read
	Cursor string // of its request; "" only for the first page
}

// After returns the position of the page after p. It is valid only if p.Next is not "".
func (p Page) After() Position { return Position{p.Number + 1, p.Next} }

// Pages requests the pages of a prospect in order, each one when the loop over the
// sequence reaches it. An error ends the sequence: an *Error about the prospect, or one
// that wraps the error of ctx. All pages before it are valid.
//
// When ctx ends, no other page is requested. A page whose request is in progress is
// still returned if its response arrives within Options.Grace. The error of ctx then
// ends the sequence, unless that page was the last one.
//
// Pages follows an empty page that says that there are more. The next page cannot be
// requested if its cursor is missing or was requested before, or if there are too many
// pages. In these cases the sequence yields the current page together with an ErrLoop: its
// events are valid, but it is not the last page. With any other error, the Page is zero.
//
// A Client holds one page over 4 MiB at a time. The next one waits until the loop over
// the sequence asks for another page, or ends. Until then, the loop must not wait for
// Turn.
//
// Pages does not know the cursors before the position. So it detects a loop through them
// one round later. MaxPages always counts from the start of the prospect.
func (c *Client) Pages(ctx context.Context, prospect string, from Position) iter.Seq2[Page, error] {
	return func(yield func(Page, error) bool) {
		requested := map[string]bool{} // by cursor
		empty := 0                     // pages in a row
		for at := from; ; {
			page, failure := c.fetch(ctx, prospect, at)
			if failure != nil {
				yield(Page{}, failure)
				return
			}
			if page.Events > 0 {
				empty = 0
			} else {
				empty++
			}
			if page.more {
				requested[page.Cursor] = true
				if why := c.checkNext(page, empty, requested); why != nil {
					yield(page, &Error{
						Prospect: prospect, Request: "GET " + path(prospect), Page: page.Number,
						Attempts: 1, Status: 200, Kind: ErrLoop, Err: why,
					})
					page.turn.end()
					return
				}
			}
			more := yield(page, nil) && page.more
			page.turn.end()
			if !more {
				return
			}
			at = page.After()
		}
	}
}

// checkNext returns an error if the next page cannot be requested.
func (c *Client) checkNext(page Page, empty int, requested map[string]bool) error {
	switch {
	case page.Next == "":
		return fmt.Errorf("hasNextPage is true, but there is no endCursor for the next page")
	case requested[page.Next]:
		return fmt.Errorf("the cursor of the next page was requested before")
	case empty >= c.options.MaxEmptyPages:
		return fmt.Errorf("there were %d empty pages in a row, and hasNextPage is true", empty)
	case page.Number+1 >= c.options.MaxPages:
		return fmt.Errorf("there were %d pages, and hasNextPage is true", page.Number+1)
	}
	return nil
}

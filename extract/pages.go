package extract

import (
	"context"
	"fmt"
	"iter"
)

// Page is one page of a prospect's events, as the API sent it, but without
// compression and without a byte-order mark.
type Page struct {
	Number int    // 0-based within the prospect
	Cursor string // that was asked for; "" for the first page
	Next   string // cursor of the page after it; "" when this is the last
	Events int    // length of edges
	// Body is an object whose members jsontext.Members separates: pageInfo, an object
	// that is valid JSON, and edges, which is null (see Silent) or an array that
	// jsontext.Elements separates; neither is there twice. An edge may be any text:
	// not valid JSON, invalid UTF-8, nested as deep as the size allows. Body
	// belongs to the receiver.
	Body []byte

	more bool  // it says that there is a page after it
	turn *turn // nil: it waited for none
}

// HasTurn reports whether the page has the turn of large pages. Its receiver must not
// wait for Turn then. A page of less than 4 MiB can have the turn, since a page takes
// it when its memory may grow beyond that.
func (p Page) HasTurn() bool { return p.turn != nil && p.turn.taken }

// Position is where the reading of a prospect begins. The zero value is the
// start. A page can be read again at its own Number and Cursor, and the reading
// goes on after it at After.
type Position struct {
	Number int    // of the page to be read
	Cursor string // to ask for; "" only for the first page
}

// After is the position of the page after p. It is of use only when p.Next is
// not "".
func (p Page) After() Position { return Position{p.Number + 1, p.Next} }

// Pages reads the pages of a prospect in order, each when it is asked for. An
// error ends the sequence: an *Error about the prospect, or one that wraps the
// error of ctx. Every page before it is sound.
//
// When ctx ends, no other page is asked for. The one whose request is under way
// is handed out like any other if its answer comes within Options.Grace, and the
// error of ctx ends the sequence after it, unless it was the last page.
//
// An empty page that says there are more is followed. A page whose successor
// cannot be asked for, because its cursor is missing or was asked for before, or
// because it would be one too many, is handed out together with the ErrLoop: its events are
// sound, but it is not the last. With any other error the Page is zero.
//
// Of pages over 4 MiB, a Client reads one at a time: the next one waits until what
// ranges over this sequence asks for another page, or ends. Until then, it must not
// wait for Turn.
//
// A cursor from before the position is not remembered; a loop then shows one
// round later, and MaxPages counts from the start anyway.
func (c *Client) Pages(ctx context.Context, prospect string, from Position) iter.Seq2[Page, error] {
	return func(yield func(Page, error) bool) {
		asked := map[string]bool{} // cursors
		empty := 0                 // pages in a row
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
				asked[page.Cursor] = true
				if why := c.endless(page, empty, asked); why != nil {
					yield(page, &Error{
						Prospect: prospect, Path: path(prospect), Page: page.Number,
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

// endless says why the page after this one is not asked for, if so.
func (c *Client) endless(page Page, empty int, asked map[string]bool) error {
	switch {
	case page.Next == "":
		return fmt.Errorf("hasNextPage is true, and there is no endCursor to go on with")
	case asked[page.Next]:
		return fmt.Errorf("the cursor after it was asked for before")
	case empty >= c.options.MaxEmptyPages:
		return fmt.Errorf("there were %d empty pages in a row, and it says there are more", empty)
	case page.Number+1 >= c.options.MaxPages:
		return fmt.Errorf("there were %d pages, and it says there are more", page.Number+1)
	}
	return nil
}

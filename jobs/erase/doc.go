// Package erase removes a prospect from everything that prospector keeps, and proves
// that nothing is left.
//
// An erase has three steps:
//
//  1. A Planner makes an ordinary plan, which removes the prospect from the partitions
//     and the quarantine of every job in the state, and from the lists of prospects.
//  2. The apply of this plan writes a tombstone before anything else, so that no later
//     run exports the prospect again.
//  3. A Proof removes the prospect from everything else in the inventory, and then
//     searches all of it.
//
// The package does not depend on a session or a source.
package erase

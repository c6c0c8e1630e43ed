// Package erase removes one person from everything that prospector keeps, and proves
// it.
//
// A prospect is erased in three steps. A plan like any other removes the prospect
// from the partitions and the quarantine of every job in the state, and from the
// lists of prospects. The apply of this plan first writes a tombstone, so that no
// later run brings the prospect back. Then a Proof removes the prospect from
// everything else in the inventory, and searches all of it.
//
// The package knows neither the session nor the source.
package erase

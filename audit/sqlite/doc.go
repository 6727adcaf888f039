// Package sqlite is the database of what was seen: how many flows of a kind there were in each hour of policy time, for reports
// and for the uses of waivers.
//
// It is an index and no evidence: the journal is the truth, and a database that is lost or damaged is made again from that. A
// cursor says up to which record it is, and moves in the transaction that adds their sums, so that nothing is counted twice and
// nothing left out, wherever a process ends.
//
// One [DB] at a time writes; any number of [Reader], of other processes too, read at the same time, and see all of a
// transaction or nothing. The package reads no journal, holds no single record, and knows no retention: its caller says what
// is to be pruned.
package sqlite

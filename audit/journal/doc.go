// Package journal keeps the record: one line of JSON a record, in files that are only ever appended to, and the proof that
// nothing was taken out of them, changed, or put in another order.
//
// The lines are the leaves of a Merkle tree (RFC 6962, section 2.1). Every minute in which something was recorded, the root of
// the tree is signed in a checkpoint, a signed note of the form that transparency logs use. Who has one checkpoint, kept
// elsewhere, can prove that every record up to it is still as it was; who has none can still find what was changed by somebody
// without the key.
//
// A directory holds
//
//	00000000000000000000.jsonl    the records from this number on, up to the next file
//	00000000000000000000.leaves   the roots of the full subtrees before this number, then the hash of each record
//	checkpoints                   one JSON string a line, each a signed note; the last is the latest
//	key, key.pub                  what signs them, and what verifies them
//	lock                          held by the process that writes
//
// Old records are removed a whole file at a time. The roots at the start of the next file's leaves stand for them, so the proof
// of the rest stays whole.
//
// The package does not decide what is recorded, and keeps no index: see audit/sqlite.
package journal

// Package raftstore is agreement: the same [intent.Set] on every node.
//
// A [Store] proposes each [intent.Command] to a replicated log, applies what
// the log commits, and publishes the Set that results as one immutable value.
// Readers take the pointer and wait on a channel for the next one; [Store.Since]
// says what differed. The log is the truth: a restart loads the newest snapshot
// and replays the entries behind it.
//
// raft itself shows in nothing that is exported. DESIGN.md, beside this file,
// says why each of its settings is what it is, what is on the disk, and what
// may and may not be concluded from an error.
package raftstore

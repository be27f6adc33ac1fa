package raftstore

import "github.com/meshwright/meshwright/intent"

// feed is the newest transactions, one for each revision: an immutable value. Feeds
// that grow out of one another share their array, so that one append costs
// what a slice's append does; a reader never looks beyond its own length.
// Only one goroutine at a time may append, and only to the newest feed.
type feed struct {
	base    intent.Revision // what lies before the first transaction
	txs     []intent.Transaction
	changes int // in all of txs
}

// append returns the feed with one more transaction, the oldest ones dropped
// so that it holds at most maxTxs transactions and maxChanges changes. The
// newest transaction stays, however large.
func (f feed) append(tx intent.Transaction, maxTxs, maxChanges int) feed {
	f.txs = append(f.txs, tx)
	f.changes += len(tx.Changes)
	for len(f.txs) > 1 && (len(f.txs) > maxTxs || f.changes > maxChanges) {
		f.base = f.txs[0].Revision
		f.changes -= len(f.txs[0].Changes)
		f.txs = f.txs[1:] // the array's head goes when append next moves
	}
	return f
}

// since returns the transactions after a revision, oldest first, and false
// when it is out of the feed's reach: compacted, or not yet seen.
func (f feed) since(rev intent.Revision) ([]intent.Transaction, bool) {
	if rev < f.base || rev > f.base+intent.Revision(len(f.txs)) {
		return nil, false
	}
	return f.txs[rev-f.base : len(f.txs) : len(f.txs)], true
}

package raftstore

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/meshwright/meshwright/intent"
)

func TestFeedSince(t *testing.T) {
	f := feed{base: 100}
	for rev := range intent.Revision(5) {
		f = f.append(intent.Transaction{Revision: 101 + rev}, 10, 10)
	}
	for _, tc := range []struct {
		rev   intent.Revision
		first intent.Revision // 0: none
		n     int
		ok    bool
	}{
		{rev: 99},
		{rev: 100, first: 101, n: 5, ok: true},
		{rev: 103, first: 104, n: 2, ok: true},
		{rev: 105, ok: true},
		{rev: 106},
	} {
		txs, ok := f.since(tc.rev)
		if ok != tc.ok || len(txs) != tc.n || tc.n > 0 && txs[0].Revision != tc.first {
			t.Errorf("since(%d) = %v, %t; want %d from %d, %t", tc.rev, txs, ok, tc.n, tc.first, tc.ok)
		}
	}
}

func TestFeedBounds(t *testing.T) {
	change := func(n int) []intent.Change { return make([]intent.Change, n) }
	var f feed
	for rev := range intent.Revision(1000) {
		f = f.append(intent.Transaction{Revision: rev + 1, Changes: change(1)}, 10, 1000)
	}
	if len(f.txs) != 10 || f.base != 990 || f.changes != 10 || cap(f.txs) > 40 {
		t.Errorf("by count: %d transactions from %d, %d changes, capacity %d", len(f.txs), f.base, f.changes, cap(f.txs))
	}
	f = f.append(intent.Transaction{Revision: 1001, Changes: change(995)}, 10, 1000)
	if len(f.txs) != 6 || f.base != 995 || f.changes != 1000 {
		t.Errorf("by changes: %d transactions from %d, %d changes", len(f.txs), f.base, f.changes)
	}
	f = f.append(intent.Transaction{Revision: 1002, Changes: change(5000)}, 10, 1000)
	if len(f.txs) != 1 || f.base != 1001 {
		t.Errorf("one beyond the bound: %d transactions from %d", len(f.txs), f.base)
	}
}

// A reader's slice stays as it was while the feed goes on.
func TestFeedReadersKeepTheirs(t *testing.T) {
	revisions := func(txs []intent.Transaction) (out []intent.Revision) {
		for _, tx := range txs {
			out = append(out, tx.Revision)
		}
		return out
	}
	var f feed
	for rev := range intent.Revision(7) {
		f = f.append(intent.Transaction{Revision: rev + 1}, 5, 100)
	}
	held, _ := f.since(4)
	_ = append(held, intent.Transaction{Revision: 666}) // a careless reader
	for rev := range intent.Revision(100) {
		f = f.append(intent.Transaction{Revision: rev + 8}, 5, 100)
	}
	if diff := cmp.Diff([]intent.Revision{5, 6, 7}, revisions(held)); diff != "" {
		t.Errorf("held (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]intent.Revision{103, 104, 105, 106, 107}, revisions(f.txs)); diff != "" {
		t.Errorf("feed (-want +got):\n%s", diff)
	}
}

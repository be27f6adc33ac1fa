package raftstore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/s2"
	"github.com/meshwright/meshwright/intent"
)

// bigSet holds n clusters.
func bigSet(t testing.TB, n int) *intent.Set {
	t.Helper()
	set := intent.NewSet()
	for done := 0; done < n; done += intent.MaxOps {
		var all []string
		for i := done; i < min(n, done+intent.MaxOps); i++ {
			all = append(all, fmt.Sprintf("c%06d", i))
		}
		next, _, err := set.Apply(cluster(all...))
		if err != nil {
			t.Fatal(err)
		}
		set = next
	}
	return set
}

func encode(t testing.TB, set *intent.Set) []byte {
	t.Helper()
	var b bytes.Buffer
	n, err := writeSet(context.Background(), &b, set)
	if err != nil {
		t.Fatal(err)
	}
	if n != int64(b.Len()) {
		t.Errorf("writeSet says %d bytes, wrote %d", n, b.Len())
	}
	return b.Bytes()
}

// blocks counts a stream's blocks.
func blocks(stream []byte) int {
	n := 0
	for at := len(streamMagic); ; n++ {
		size := int(binary.BigEndian.Uint32(stream[at:]))
		if size == 0 {
			return n
		}
		at += 8 + size
	}
}

func TestStreamRoundTrip(t *testing.T) {
	for _, n := range []int{0, 1, 5000} {
		set := bigSet(t, n)
		stream := encode(t, set)
		if n == 5000 && blocks(stream) < 3 {
			t.Errorf("%d objects make %d blocks: the test means to see several", n, blocks(stream))
		}
		got, err := readSet(bytes.NewReader(stream))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(records(t, set), records(t, got)); diff != "" {
			t.Errorf("%d objects (-want +got):\n%s", n, diff)
		}
		if again := encode(t, got); !bytes.Equal(again, stream) {
			t.Errorf("%d objects: a set that was read writes another stream", n)
		}
	}
}

func TestStreamDamage(t *testing.T) {
	stream := encode(t, bigSet(t, 20))
	t.Run("cut", func(t *testing.T) {
		for n := range stream {
			if _, err := readSet(bytes.NewReader(stream[:n])); !errors.Is(err, errCorrupt) {
				t.Errorf("%d of %d bytes: error %v", n, len(stream), err)
			}
		}
	})
	t.Run("flipped", func(t *testing.T) {
		damaged := bytes.Clone(stream)
		for i := range damaged {
			for _, bit := range []byte{1, 128} {
				damaged[i] ^= bit
				if _, err := readSet(bytes.NewReader(damaged)); err == nil {
					t.Errorf("byte %d, bit %d flipped: no error", i, bit)
				}
				damaged[i] ^= bit
			}
		}
	})
	t.Run("longer", func(t *testing.T) {
		_, err := readSet(bytes.NewReader(append(bytes.Clone(stream), 0)))
		if !errors.Is(err, errCorrupt) || !strings.Contains(err.Error(), "follows") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("version", func(t *testing.T) {
		newer := bytes.Clone(stream)
		newer[len(streamMagic)-1]++
		_, err := readSet(bytes.NewReader(newer))
		if err == nil || errors.Is(err, errCorrupt) || !strings.Contains(err.Error(), "newer") {
			t.Errorf("error %v, want that a newer release wrote it", err)
		}
	})
}

// seal makes a stream of blocks that are sound in themselves.
func seal(blocks ...[]byte) []byte {
	out := []byte(streamMagic)
	for _, b := range blocks {
		out = binary.BigEndian.AppendUint32(out, uint32(len(b)))
		out = binary.BigEndian.AppendUint32(out, crc32.Checksum(b, castagnoli))
		out = append(out, b...)
	}
	out = append(out, 0, 0, 0, 0)
	sum := sha256.Sum256(out)
	return append(out, sum[:]...)
}

func TestStreamLimits(t *testing.T) {
	header := []byte(`{"header":{"revision":1,"at":"2026-01-01T00:00:00Z","settings":{"hostSuffix":"global","vipv4":"240.240.0.0/16","vipv6":"2001:2::/64"},"nextVip":0}}` + "\n")
	if _, err := readSet(bytes.NewReader(seal(s2.Encode(nil, header)))); err != nil {
		t.Errorf("a sound stream: %v", err)
	}
	long := binary.BigEndian.AppendUint32([]byte(streamMagic), 1<<31)
	for name, stream := range map[string][]byte{
		"a block longer than any":      long,
		"a block that unpacks to much": seal(s2.Encode(nil, make([]byte, maxBlock+1))),
		"a block that is not s2":       seal([]byte("plain")),
		"an empty block":               seal(s2.Encode(nil, nil)),
		"a record that is not JSON":    seal(s2.Encode(nil, []byte("{\n"))),
		"no header":                    seal(),
		"an object before the header":  seal(s2.Encode(nil, []byte(`{"object":{}}`+"\n"))),
		"a record of unknown content":  seal(s2.Encode(nil, append(bytes.Clone(header), []byte(`{"new":1}`)...))),
	} {
		if set, err := readSet(bytes.NewReader(stream)); err == nil {
			t.Errorf("%s: no error, but a set at revision %d", name, set.Revision())
		} else {
			t.Logf("%s: %v", name, err)
		}
	}
}

func TestStreamGivesUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := writeSet(ctx, new(bytes.Buffer), bigSet(t, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of the context", err)
	}
}

func FuzzReadSet(f *testing.F) {
	f.Add(encode(f, bigSet(f, 0)))
	f.Add(encode(f, bigSet(f, 3)))
	f.Add(seal(s2.Encode(nil, []byte("{}\n"))))
	f.Add([]byte(streamMagic))
	f.Fuzz(func(t *testing.T, stream []byte) {
		set, err := readSet(bytes.NewReader(stream))
		if err != nil {
			return
		}
		if _, err := readSet(bytes.NewReader(encode(t, set))); err != nil {
			t.Errorf("what was read can't be read again: %v", err)
		}
	})
}

// FuzzReadRecords gets behind the checksums, which a fuzzer can't guess.
func FuzzReadRecords(f *testing.F) {
	stream := encode(f, bigSet(f, 3))
	size := binary.BigEndian.Uint32(stream[len(streamMagic):])
	block, err := s2.Decode(nil, stream[len(streamMagic)+8:][:size])
	if err != nil {
		f.Fatal(err)
	}
	f.Add(block)
	f.Fuzz(func(t *testing.T, block []byte) {
		if len(block) > maxBlock {
			return
		}
		set, err := readSet(bytes.NewReader(seal(s2.Encode(nil, block))))
		if err != nil {
			return
		}
		if _, err := readSet(bytes.NewReader(encode(t, set))); err != nil {
			t.Errorf("what was read can't be read again: %v", err)
		}
	})
}

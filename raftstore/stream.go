package raftstore

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/s2"
	"github.com/meshwright/meshwright/intent"
)

// A stream is a whole Set as bytes, in snapshots and backups:
//
//	magic    8 bytes, the last one is the version
//	blocks   length (4 bytes), CRC-32C (4 bytes), then length bytes of s2:
//	         records as JSON, each followed by a newline
//	end      length 0 (4 bytes)
//	trailer  SHA-256 of everything before it
//
// Numbers are big-endian; the CRC is that of the compressed bytes. Nothing may
// follow the trailer. No record is split between blocks.
const (
	streamMagic = "MWSET\r\n\x01"
	blockTarget = 256 << 10 // uncompressed bytes that make a block full
	maxBlock    = 4 << 20   // uncompressed: a full block and a record that came last
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)

	// errCorrupt is wrapped by every error of a stream that was damaged.
	errCorrupt = errors.New("the snapshot is corrupt")
)

// writeSet writes a Set as a stream and returns its size. It gives up between
// two blocks when ctx is done.
func writeSet(ctx context.Context, w io.Writer, set *intent.Set) (int64, error) {
	sw := &streamWriter{w: w, sum: sha256.New()}
	sw.write([]byte(streamMagic))
	for r, err := range set.Records() {
		if err == nil {
			err = sw.record(r)
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return sw.n, fmt.Errorf("write snapshot: %w", err)
		}
	}
	if err := sw.finish(); err != nil {
		return sw.n, fmt.Errorf("write snapshot: %w", err)
	}
	return sw.n, nil
}

// streamWriter gathers records into blocks. Its first error stays.
type streamWriter struct {
	w      io.Writer
	sum    hash.Hash
	n      int64
	err    error
	block  bytes.Buffer
	packed []byte
}

func (w *streamWriter) write(p []byte) {
	if w.err != nil {
		return
	}
	w.sum.Write(p)
	n, err := w.w.Write(p)
	w.n, w.err = w.n+int64(n), err
}

func (w *streamWriter) record(r intent.Record) error {
	data, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode record: %w", err)
	}
	w.block.Write(data)
	w.block.WriteByte('\n')
	if w.block.Len() >= blockTarget {
		return w.flush()
	}
	return nil
}

func (w *streamWriter) flush() error {
	if w.block.Len() > maxBlock {
		return fmt.Errorf("a block of %d bytes exceeds %d: no reader would take it", w.block.Len(), maxBlock)
	}
	w.packed = s2.Encode(w.packed[:cap(w.packed)], w.block.Bytes())
	var head [8]byte
	binary.BigEndian.PutUint32(head[:4], uint32(len(w.packed)))
	binary.BigEndian.PutUint32(head[4:], crc32.Checksum(w.packed, castagnoli))
	w.write(head[:])
	w.write(w.packed)
	w.block.Reset()
	return w.err
}

func (w *streamWriter) finish() error {
	if w.block.Len() > 0 {
		if err := w.flush(); err != nil {
			return err
		}
	}
	w.write(make([]byte, 4))
	w.write(w.sum.Sum(nil))
	return w.err
}

// readSet reads a stream to its end and returns the Set only when all of it
// holds: checksums, records, and nothing behind the trailer.
func readSet(r io.Reader) (*intent.Set, error) {
	sr := &streamReader{r: bufio.NewReaderSize(r, 64<<10), sum: sha256.New()}
	set, err := intent.FromRecords(sr.records)
	if err != nil {
		return nil, fmt.Errorf("read snapshot: %w", err)
	}
	return set, nil
}

type streamReader struct {
	r             *bufio.Reader
	sum           hash.Hash
	packed, block []byte
}

// records yields the stream's records; an error is the last thing it yields.
// The trailer is checked before it returns.
func (r *streamReader) records(yield func(intent.Record, error) bool) {
	if err := r.magic(); err != nil {
		yield(intent.Record{}, err)
		return
	}
	for n := 0; ; n++ {
		block, err := r.next()
		if err == nil && block == nil {
			err = r.trailer()
			if err == nil {
				return
			}
		}
		if err != nil {
			yield(intent.Record{}, fmt.Errorf("block %d: %w", n, err))
			return
		}
		if !yieldRecords(block, yield) {
			return
		}
	}
}

func yieldRecords(block []byte, yield func(intent.Record, error) bool) bool {
	for line := range bytes.Lines(block) {
		var record intent.Record
		if err := json.Unmarshal(line, &record); err != nil {
			yield(record, fmt.Errorf("%w: decode record: %w", errCorrupt, err))
			return false
		}
		if !yield(record, nil) {
			return false
		}
	}
	return true
}

func (r *streamReader) magic() error {
	head := make([]byte, len(streamMagic))
	if err := r.fill(head); err != nil {
		return err
	}
	version := len(streamMagic) - 1
	if string(head[:version]) != streamMagic[:version] {
		return fmt.Errorf("%w: it does not begin as a snapshot does", errCorrupt)
	}
	if head[version] != streamMagic[version] {
		return fmt.Errorf("snapshot version %d is not known to this release: a newer one wrote it", head[version])
	}
	return nil
}

// next returns the next block's records, which are valid until the next call,
// or nil at the end of the blocks.
func (r *streamReader) next() ([]byte, error) {
	var head [8]byte
	if err := r.fill(head[:4]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head[:4])
	if size == 0 {
		return nil, nil
	}
	if int64(size) > int64(s2.MaxEncodedLen(maxBlock)) {
		return nil, fmt.Errorf("%w: a block of %d bytes", errCorrupt, size)
	}
	if err := r.fill(head[4:]); err != nil {
		return nil, err
	}
	if cap(r.packed) < int(size) {
		r.packed = make([]byte, size)
	}
	r.packed = r.packed[:size]
	if err := r.fill(r.packed); err != nil {
		return nil, err
	}
	if crc32.Checksum(r.packed, castagnoli) != binary.BigEndian.Uint32(head[4:]) {
		return nil, fmt.Errorf("%w: its checksum does not match", errCorrupt)
	}
	if n, err := s2.DecodedLen(r.packed); err != nil || n == 0 || n > maxBlock {
		return nil, fmt.Errorf("%w: it does not say a legal size", errCorrupt)
	}
	var err error
	if r.block, err = s2.Decode(r.block[:cap(r.block)], r.packed); err != nil {
		return nil, fmt.Errorf("%w: decompress: %w", errCorrupt, err)
	}
	return r.block, nil
}

func (r *streamReader) trailer() error {
	want := r.sum.Sum(nil)
	got := make([]byte, len(want))
	if err := r.fill(got); err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("%w: the SHA-256 at its end does not match", errCorrupt)
	}
	switch _, err := r.r.ReadByte(); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("%w: something follows its end", errCorrupt)
}

// fill reads exactly p and adds it to the sum.
func (r *streamReader) fill(p []byte) error {
	if _, err := io.ReadFull(r.r, p); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("%w: it is cut short", errCorrupt)
		}
		return err
	}
	r.sum.Write(p)
	return nil
}

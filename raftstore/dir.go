package raftstore

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// The files of a data directory. raft's file store adds "snapshots".
const (
	logFile = "raft.db"
	idFile  = "node-id"
)

// keptSnapshots is how many stay on the disk: the newest, and one to fall back
// on when the newest turns out to be damaged.
const keptSnapshots = 2

// lockTimeout is how long Open waits for another process to let go of the
// directory, so that a restart may overlap a little.
const lockTimeout = time.Second

// openLog opens the log, making the data directory first. bolt's lock on the
// file is the directory's lock: nothing else is touched before it is held.
func openLog(dir string) (*raftboltdb.BoltStore, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	path := filepath.Join(dir, logFile)
	bolt, err := raftboltdb.New(raftboltdb.Options{
		Path: path,
		BoltOptions: &bbolt.Options{
			Timeout:        lockTimeout,
			NoFreelistSync: true, // else each append writes the list of free pages too
			FreelistType:   bbolt.FreelistMapType,
		},
	})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("data directory %s is in use by another process", dir)
	}
	if err != nil {
		return nil, fmt.Errorf("open log %s: %w", path, err)
	}
	return bolt, nil
}

// nodeID reads this node's id, or makes one when the directory is new: a node
// whose disk was lost is another node. hasState says that the log or the
// snapshots hold something, which belongs to the id that is on the disk.
func nodeID(dir string, hasState bool) (raft.ServerID, error) {
	path := filepath.Join(dir, idFile)
	data, err := os.ReadFile(path)
	switch {
	case err == nil:
		id, err := hex.DecodeString(string(data))
		if err != nil || len(id) != 16 {
			return "", fmt.Errorf("%s does not hold a node id of 32 hexadecimal digits: restore it from a backup", path)
		}
		return raft.ServerID(data), nil
	case !errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("read node id: %w", err)
	case hasState:
		return "", fmt.Errorf("%s is missing beside a log that belongs to it: restore it, or empty the data directory to make a new node", path)
	}
	raw := make([]byte, 16)
	rand.Read(raw) // never fails
	id := hex.EncodeToString(raw)
	if err := writeFile(path, []byte(id)); err != nil {
		return "", fmt.Errorf("keep node id: %w", err)
	}
	return raft.ServerID(id), nil
}

// writeFile writes a file so that it is there whole or not at all.
func writeFile(path string, data []byte) error {
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes a directory's entries durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// openSnapshots opens the snapshot files. The ones that a crash left unfinished
// would stay for ever: raft ignores them.
func openSnapshots(dir string, logs raft.LogStore, logger hclog.Logger) (*snapshots, error) {
	unfinished, err := filepath.Glob(filepath.Join(dir, "snapshots", "*.tmp"))
	if err != nil {
		return nil, err
	}
	for _, path := range unfinished {
		if err := os.RemoveAll(path); err != nil {
			return nil, fmt.Errorf("remove unfinished snapshot: %w", err)
		}
	}
	files, err := raft.NewFileSnapshotStoreWithLogger(dir, keptSnapshots, logger)
	if err != nil {
		return nil, fmt.Errorf("open snapshots: %w", err)
	}
	return &snapshots{FileSnapshotStore: files, logs: logs}, nil
}

// snapshots are the snapshot files. When the newest one is damaged raft tries
// the ones that List gives next, and panics, or loses entries, when the log
// does not go on where such a one ends; so List leaves those out.
type snapshots struct {
	*raft.FileSnapshotStore
	logs    raft.LogStore
	openErr atomic.Pointer[error] // why the last Open failed, which raft only logs
}

// Open reads a snapshot once to compare it with the checksum beside it, and
// opens it.
func (s *snapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	meta, r, err := s.FileSnapshotStore.Open(id)
	if err != nil {
		err = fmt.Errorf("open snapshot %s: %w", id, err)
		s.openErr.Store(&err)
	}
	return meta, r, err
}

// List returns the newest snapshot and the older ones from which the log leads
// on beyond the newest.
func (s *snapshots) List() ([]*raft.SnapshotMeta, error) {
	all, err := s.FileSnapshotStore.List()
	if err != nil || len(all) < 2 {
		return all, err
	}
	first, err := s.logs.FirstIndex()
	if err != nil {
		return nil, err
	}
	last, err := s.logs.LastIndex()
	if err != nil {
		return nil, err
	}
	usable := all[:1]
	for _, older := range all[1:] {
		if first > 0 && first <= older.Index+1 && last >= all[0].Index {
			usable = append(usable, older)
		}
	}
	return usable, nil
}

package intent

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// commandVersion is the first byte of each encoded command. A replica that
// meets another one stops: to skip a command is to diverge.
const commandVersion = 1

// ErrUnknownCommand says that a log entry was written by a newer release.
var ErrUnknownCommand = errors.New("log entry of an unknown command version or kind: this replica runs an older release than the one that wrote it")

// CommandKind says what a command does.
type CommandKind string

// The commands. A new one is a constant, a case in [Set.Apply] and a golden
// in testdata.
const (
	Transact  CommandKind = "transact"  // Ops, all or nothing
	Configure CommandKind = "configure" // Settings
)

// MaxOps bounds the operations of one transaction.
const MaxOps = 1000

// Command is one entry of the replicated log. What Apply may not find out
// itself, time and ids, travels in it.
type Command struct {
	Kind     CommandKind `json:"kind"`
	ID       string      `json:"id,omitempty"` // of the request that made it
	At       time.Time   `json:"at"`
	Ops      []Op        `json:"ops,omitempty"`
	Settings *Settings   `json:"settings,omitempty"`
}

// Method is what an operation does with the object at its path.
type Method string

// The methods.
const (
	Create Method = "POST"   // must not exist
	Put    Method = "PUT"    // create or replace
	Delete Method = "DELETE" // must exist
)

// Op is one change of one object.
type Op struct {
	Method      Method   `json:"method"`
	Path        Path     `json:"path"`
	Object      *Object  `json:"object,omitempty"`      // not for Delete
	IfMatch     []string `json:"ifMatch,omitempty"`     // any of these resourceVersions, or "*"
	IfNoneMatch bool     `json:"ifNoneMatch,omitempty"` // must not exist
	Cascade     bool     `json:"cascade,omitempty"`     // Delete takes the subtree along
}

// UnmarshalJSON decodes the object as the noun that the path names.
func (op *Op) UnmarshalJSON(data []byte) error {
	type plain Op
	aux := struct {
		*plain
		Object json.RawMessage `json:"object"`
	}{plain: (*plain)(op)}
	if err := json.Unmarshal(data, &aux); err != nil {
		return err
	}
	if len(aux.Object) == 0 {
		return nil
	}
	o, err := DecodeObject(op.Path, aux.Object)
	op.Object = o
	return err
}

// Encode is the command as a log entry: a version byte, then JSON.
func (c Command) Encode() ([]byte, error) {
	data, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encode command: %w", err)
	}
	return append([]byte{commandVersion}, data...), nil
}

// DecodeCommand reads a log entry. The error is [ErrUnknownCommand] when a
// newer release wrote it.
func DecodeCommand(entry []byte) (Command, error) {
	if len(entry) == 0 || entry[0] != commandVersion {
		return Command{}, ErrUnknownCommand
	}
	var c Command
	if err := json.Unmarshal(entry[1:], &c); err != nil {
		return Command{}, fmt.Errorf("decode command: %w", err)
	}
	if c.Kind != Transact && c.Kind != Configure {
		return Command{}, fmt.Errorf("%w: kind %q", ErrUnknownCommand, clip(string(c.Kind)))
	}
	return c, nil
}

package intent

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	Confirm   CommandKind = "confirm"   // Confirmations; leaves the revision
)

// MaxOps bounds the operations of one transaction.
const MaxOps = 1000

// Command is one entry of the replicated log. What Apply may not find out
// itself, time and ids, travels in it.
type Command struct {
	Kind     CommandKind `json:"kind"`
	At       time.Time   `json:"at"`
	Ops      []Op        `json:"ops,omitempty"`
	Settings *Settings   `json:"settings,omitempty"`

	Confirmations []Confirmation `json:"confirmations,omitempty"`

	// ID is the client's idempotency key, if it sent one: a command whose ID
	// was applied before is not applied again. Leave it out of previews.
	ID     string `json:"id,omitempty"`
	Digest string `json:"digest,omitempty"` // of what it asks for; Encode fills it in
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

// UnmarshalJSON decodes the object as the noun that the path names. Unknown
// fields are an error.
func (op *Op) UnmarshalJSON(data []byte) error {
	type plain Op
	aux := struct {
		*plain
		Object json.RawMessage `json:"object"`
	}{plain: (*plain)(op)}
	if err := decodeStrict(data, &aux); err != nil {
		return err
	}
	if len(aux.Object) == 0 || string(aux.Object) == "null" {
		return nil
	}
	o, err := decodeObject(op.Path, aux.Object, decodeStrict)
	op.Object = o
	return err
}

// Encode is the command as a log entry: a version byte, then JSON.
func (c Command) Encode() ([]byte, error) {
	c, err := c.identified()
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encode command: %w", err)
	}
	return append([]byte{commandVersion}, data...), nil
}

// DecodeCommand reads a log entry. The error is [ErrUnknownCommand] when a
// newer release wrote it. A field that this release does not know is an error,
// too: a replica that passed over it would diverge.
func DecodeCommand(entry []byte) (Command, error) {
	if len(entry) == 0 || entry[0] != commandVersion {
		return Command{}, ErrUnknownCommand
	}
	var kind struct {
		Kind CommandKind `json:"kind"`
	}
	if err := json.Unmarshal(entry[1:], &kind); err != nil {
		return Command{}, fmt.Errorf("decode command: %w", err)
	}
	switch kind.Kind {
	case Transact, Configure, Confirm:
	default:
		return Command{}, fmt.Errorf("%w: kind %q", ErrUnknownCommand, clip(string(kind.Kind)))
	}
	var c Command
	if err := decodeStrict(entry[1:], &c); err != nil {
		return Command{}, fmt.Errorf("decode command: %w", err)
	}
	return c, nil
}

// decodeStrict is json.Unmarshal that refuses unknown fields.
func decodeStrict(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("data after the JSON value")
	}
	return nil
}

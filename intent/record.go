package intent

import (
	"encoding/json"
	"fmt"
	"iter"
	"time"
)

// Record is one piece of a Set in a snapshot or backup: the header first, then
// objects, parents before children, then addresses, confirmations, and
// identified commands, oldest first.
type Record struct {
	Header       *Header        `json:"header,omitempty"`
	Object       *StoredObject  `json:"object,omitempty"`
	VIP          *StoredVIP     `json:"vip,omitempty"`
	Confirmation *Confirmation  `json:"confirmation,omitempty"`
	Command      *StoredCommand `json:"command,omitempty"`
}

// Header is what a Set holds beside its objects.
type Header struct {
	Revision Revision  `json:"revision"`
	At       time.Time `json:"at"`
	Settings Settings  `json:"settings"`
	NextVIP  uint32    `json:"nextVip"`
}

// StoredObject is an object with what its REST form leaves out.
type StoredObject struct {
	Path         Path            `json:"path"`
	Body         json.RawMessage `json:"body"`
	LastGateways []Gateway       `json:"lastGateways,omitempty"`
}

// StoredVIP is the address pair of a global host.
type StoredVIP struct {
	Host string `json:"host"`
	VIP
}

// StoredCommand is what is remembered of an identified command.
type StoredCommand struct {
	ID       string   `json:"id"`
	Digest   string   `json:"digest"`
	Revision Revision `json:"revision"`
	Effects  string   `json:"effects,omitempty"`
}

// Records yields the whole Set, in an order that [FromRecords] can read and
// that is the same on every replica.
func (s *Set) Records() iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		header := &Header{Revision: s.revision, At: s.at, Settings: s.settings, NextVIP: s.nextVIP}
		if !yield(Record{Header: header}, nil) {
			return
		}
		for _, k := range Kinds {
			for o := range s.List(k, "") {
				body, err := json.Marshal(o)
				if err != nil {
					err = fmt.Errorf("encode %s: %w", o.Path, err)
				}
				if !yield(Record{Object: &StoredObject{o.Path, body, o.LastGateways}}, err) || err != nil {
					return
				}
			}
		}
		more := true
		s.vips.Scan(func(host string, vip VIP) bool {
			more = yield(Record{VIP: &StoredVIP{host, vip}}, nil)
			return more
		})
		if !more {
			return
		}
		s.confirmed.Scan(func(_ string, c Confirmation) bool {
			more = yield(Record{Confirmation: &c}, nil)
			return more
		})
		if !more {
			return
		}
		s.bySeq.Scan(func(_ uint64, id string) bool {
			m, _ := s.byID.Get(id)
			return yield(Record{Command: &StoredCommand{id, m.Digest, m.Revision, m.Effects}}, nil)
		})
	}
}

// FromRecords builds the Set that [Set.Records] yielded.
func FromRecords(records iter.Seq2[Record, error]) (*Set, error) {
	s, headed := NewSet(), false
	for r, err := range records {
		if err != nil {
			return nil, err
		}
		switch {
		case r.Header != nil:
			s.revision, s.at = r.Header.Revision, r.Header.At
			s.settings, s.nextVIP = r.Header.Settings, r.Header.NextVIP
			headed = true
		case !headed:
			return nil, fmt.Errorf("read stored set: its header is missing")
		case r.Object != nil:
			if err := s.load(r.Object); err != nil {
				return nil, err
			}
		case r.VIP != nil:
			s.vips.Set(r.VIP.Host, r.VIP.VIP)
			for _, key := range r.VIP.keys(r.VIP.Host) {
				s.index.Set(key, Path(r.VIP.Host))
			}
		case r.Confirmation != nil:
			s.confirmed.Set(confirmKey(r.Confirmation.Cluster, r.Confirmation.Type), *r.Confirmation)
		case r.Command != nil:
			seq := uint64(s.bySeq.Len())
			s.bySeq.Set(seq, r.Command.ID)
			s.byID.Set(r.Command.ID, remembered{seq, r.Command.Digest, r.Command.Revision, r.Command.Effects})
		default:
			return nil, fmt.Errorf("read stored set: a record of unknown content: a newer release wrote it")
		}
	}
	if !headed {
		return nil, fmt.Errorf("read stored set: it is empty")
	}
	return s, nil
}

func (s *Set) load(r *StoredObject) error {
	p, _, err := ParsePath(string(r.Path))
	if err != nil {
		return fmt.Errorf("read stored set: %w", err)
	}
	o, err := DecodeObject(p, r.Body)
	if err != nil {
		return fmt.Errorf("read stored set: %w", err)
	}
	o.LastGateways = r.LastGateways
	s.objects[p.Kind()].Set(p, o)
	for _, key := range s.keysOf(o) {
		s.index.Set(key, p)
	}
	return nil
}

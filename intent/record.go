package intent

import (
	"encoding/json"
	"fmt"
	"iter"
	"time"
)

// Record is one piece of a Set in a snapshot or backup: the header first, then
// objects, parents before children, then addresses.
type Record struct {
	Header *Header       `json:"header,omitempty"`
	Object *StoredObject `json:"object,omitempty"`
	VIP    *StoredVIP    `json:"vip,omitempty"`
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
		s.vips.Scan(func(host string, vip VIP) bool {
			return yield(Record{VIP: &StoredVIP{host, vip}}, nil)
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
			s.index.Set(indexKey(byVIP, r.VIP.V4.String(), Path(r.VIP.Host)), Path(r.VIP.Host))
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

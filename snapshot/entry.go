package snapshot

import (
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// Field numbers of google.protobuf.Any and Timestamp, and of
// istio.mcp.v1alpha1.Resource and Metadata.
const (
	anyTypeURL = 1
	anyValue   = 2

	timestampSeconds = 1
	timestampNanos   = 2

	mcpMetadata = 1
	mcpBody     = 2

	metadataName        = 1
	metadataCreateTime  = 2
	metadataVersion     = 3
	metadataLabels      = 4
	metadataAnnotations = 5

	mapKey   = 1
	mapValue = 2
)

const (
	typeURLPrefix = "type.googleapis.com/"
	mcpTypeURL    = typeURLPrefix + "istio.mcp.v1alpha1.Resource"
)

// encodeEntry is an object as a configuration source sends it: a
// google.protobuf.Any of an istio.mcp.v1alpha1.Resource around the encoded
// spec. It is what protobuf's deterministic encoding of these messages gives,
// written at once: a full build encodes every object of the fleet.
func encodeEntry(o *Object, specName string, spec []byte) []byte {
	metadata := appendString(make([]byte, 0, 512), metadataName, o.FullName())
	metadata = appendBytes(metadata, metadataCreateTime, encodeTime(o.CreatedAt))
	metadata = appendString(metadata, metadataVersion, o.Version)
	metadata = appendMap(metadata, metadataLabels, o.Labels)
	metadata = appendMap(metadata, metadataAnnotations, o.Annotations)

	specURL := typeURLPrefix + specName
	body := fieldSize(anyTypeURL, len(specURL))
	if len(spec) > 0 {
		body += fieldSize(anyValue, len(spec))
	}
	resource := fieldSize(mcpMetadata, len(metadata)) + fieldSize(mcpBody, body)

	entry := make([]byte, 0, fieldSize(anyTypeURL, len(mcpTypeURL))+fieldSize(anyValue, resource))
	entry = appendString(entry, anyTypeURL, mcpTypeURL)
	entry = appendLength(entry, anyValue, resource)
	entry = appendBytes(entry, mcpMetadata, metadata)
	entry = appendLength(entry, mcpBody, body)
	entry = appendString(entry, anyTypeURL, specURL)
	if len(spec) > 0 {
		entry = appendBytes(entry, anyValue, spec)
	}
	return entry
}

func encodeTime(t time.Time) []byte {
	var b []byte
	if s := t.Unix(); s != 0 {
		b = protowire.AppendVarint(protowire.AppendTag(b, timestampSeconds, protowire.VarintType), uint64(s))
	}
	if n := t.Nanosecond(); n != 0 {
		b = protowire.AppendVarint(protowire.AppendTag(b, timestampNanos, protowire.VarintType), uint64(n))
	}
	return b
}

// appendMap writes a map of strings in key order.
func appendMap(b []byte, field protowire.Number, m map[string]string) []byte {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		b = appendLength(b, field, fieldSize(mapKey, len(k))+fieldSize(mapValue, len(m[k])))
		b = appendString(b, mapKey, k)
		b = appendString(b, mapValue, m[k])
	}
	return b
}

// appendLength begins a field whose n bytes follow.
func appendLength(b []byte, field protowire.Number, n int) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.BytesType), uint64(n))
}

// fieldSize is the size of a field that holds n bytes.
func fieldSize(field protowire.Number, n int) int {
	return protowire.SizeTag(field) + protowire.SizeBytes(n)
}

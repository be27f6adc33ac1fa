#!/bin/sh
# Starts a node on the default addresses, gives it the example fleet, and says
# what to look at. Ctrl-C stops the node.
set -eu
here=$(dirname "$0")
binary=${BINARY:-bin/meshwright}
data=${DATA_DIR:-./data}
log=$data/log.json

mkdir -p "$data"
"$binary" server --data-dir "$data" --xds-addr 127.0.0.1:15010,127.0.0.2:15010,127.0.0.3:15010 >"$log" 2>&1 &
node=$!
trap 'kill "$node" 2>/dev/null || true; wait "$node" 2>/dev/null || true' EXIT
trap 'exit 0' INT TERM

tries=0
until grep -q '"node started"' "$log" && "$binary" status >/dev/null 2>&1; do
  tries=$((tries + 1))
  if ! kill -0 "$node" 2>/dev/null || [ "$tries" -gt 150 ]; then
    echo "the node did not start; the end of its log, $log:" >&2
    tail -n 5 "$log" >&2
    exit 1
  fi
  sleep 0.2
done

"$binary" apply -f "$here/fleet.yaml"
cat <<EOF

Meshwright is running, with the example fleet. Look at, from another shell:

  $binary status                               the fleet in one page
  $binary bundle edge/shop-2                   the Istio objects of the client's cluster
  $binary get /v2/cluster-providers/edge/clusters
  $binary apply --dry-run -f $here/fleet.yaml
  curl -s http://127.0.0.1:9018/openapi.yaml        the REST interface
  curl -s http://127.0.0.1:9018/metrics

An istiod joins with this in its mesh configuration, where the address is one
of its cluster's authorities:

  configSources:
  - address: xds://127.0.0.2:15010

The log is in $log. Ctrl-C stops the node; its data stays in $data.
EOF
wait "$node"

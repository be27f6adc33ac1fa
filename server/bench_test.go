package server

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/meshwright/meshwright/intent"
)

// edgesEnv makes the test binary the edges of a benchmark: "ADDRESS PROTOCOL
// NUMBER TYPE-URL".
const edgesEnv = "MESHWRIGHT_TEST_EDGES"

// benchClusters are the clusters that a benchmark's edges belong to. All get
// the same objects.
const benchClusters = 10

var benchClusterNames = func() (names []string) {
	for i := range benchClusters {
		names = append(names, fmt.Sprint("c", i))
	}
	return names
}()

// edges are the clients of a benchmark, in a process of their own, so that the
// CPU time of this one is the server's.
type edges struct {
	lines *bufio.Scanner
}

func startEdges(b *testing.B, h *hub, protocol string, n int, typeURL string) *edges {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %d %s", edgesEnv, h.server.Addr(), protocol, n, typeURL))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed
	})
	return &edges{lines: bufio.NewScanner(out)}
}

// wait returns when every edge has one response more.
func (e *edges) wait(b *testing.B) {
	b.Helper()
	if !e.lines.Scan() {
		b.Fatal("the edges have ended")
	}
}

// runEdges is the edges' process.
func runEdges() {
	var addr, protocol, typeURL string
	var n int64
	if _, err := fmt.Sscan(os.Getenv(edgesEnv), &addr, &protocol, &n, &typeURL); err != nil {
		panic(err)
	}
	var received atomic.Int64
	for i := range n {
		go func() {
			if err := runEdge(addr, fmt.Sprintf("c%d.example", i%benchClusters), protocol, typeURL, func() {
				if received.Add(1)%n == 0 {
					fmt.Println("all")
				}
			}); err != nil {
				panic(err)
			}
		}()
	}
	select {}
}

// runEdge is one edge: it acknowledges and forgets.
func runEdge(addr, authority, protocol, typeURL string, received func()) error {
	conn, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority(authority),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(1<<30)), grpc.WithReadBufferSize(1<<10), grpc.WithWriteBufferSize(1<<10),
		// As istiod has them.
		grpc.WithStaticStreamWindowSize(1<<20), grpc.WithStaticConnWindowSize(1<<20))
	if err != nil {
		return err
	}
	method, desc := discovery.AggregatedDiscoveryService_StreamAggregatedResources_FullMethodName, &discovery.AggregatedDiscoveryService_ServiceDesc.Streams[0]
	if protocol == "delta" {
		method, desc = discovery.AggregatedDiscoveryService_DeltaAggregatedResources_FullMethodName, &discovery.AggregatedDiscoveryService_ServiceDesc.Streams[1]
	}
	stream, err := conn.NewStream(context.Background(), desc, method, grpc.ForceCodecV2(nonceCodec{newCodec()}))
	if err != nil {
		return err
	}
	for nonce := ""; ; {
		var request any = &discovery.DiscoveryRequest{TypeUrl: typeURL, ResponseNonce: nonce}
		if protocol == "delta" {
			request = &discovery.DeltaDiscoveryRequest{TypeUrl: typeURL, ResponseNonce: nonce}
		}
		if err := stream.SendMsg(request); err != nil {
			return err
		}
		if err := stream.RecvMsg(&nonce); err != nil {
			return err
		}
		received()
	}
}

// nonceCodec reads the nonce of a response of either protocol, and no more.
type nonceCodec struct{ codec }

func (nonceCodec) Unmarshal(data mem.BufferSlice, v any) error {
	buffer := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer buffer.Free()
	for b := buffer.ReadOnlyData(); len(b) > 0; {
		field, kind, n := protowire.ConsumeTag(b)
		b = b[n:]
		if field == 5 {
			text, _ := protowire.ConsumeString(b)
			*v.(*string) = strings.Clone(text)
		}
		b = b[protowire.ConsumeFieldValue(field, kind, b):]
	}
	return nil
}

// cpu is the CPU time that this process has used.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func newBenchStore(b *testing.B) *memory {
	b.Helper()
	m := newStore(b)
	for _, name := range benchClusterNames {
		m.apply(b, cluster(b, name))
	}
	return m
}

func benchmarkFanOut(b *testing.B, protocol string, streams, objects int, typeURL string, object func(name string, version int) intent.Op) {
	m := newBenchStore(b)
	for i := 0; i < objects; {
		var ops []intent.Op
		for ; i < objects && len(ops) < intent.MaxOps; i++ {
			ops = append(ops, object(fmt.Sprintf("o%05d", i), 0))
		}
		m.apply(b, ops...)
	}
	h := startHub(b, m, func(c *Config) { c.MaxStreamsPerCluster = streams })
	h.settle(b)
	runtime.GC()
	began, used := time.Now(), cpu(b)
	e := startEdges(b, h, protocol, streams, typeURL)
	e.wait(b)
	syncTime, syncCPU := time.Since(began), cpu(b)-used
	sent := h.metric(b, "sent_bytes_total")

	version := 0
	used = cpu(b)
	for b.Loop() {
		version++
		m.apply(b, object(fmt.Sprintf("o%05d", version%objects), version))
		e.wait(b)
	}
	b.ReportMetric(float64((cpu(b)-used).Microseconds())/1e3/float64(b.N), "cpu-ms/op")
	b.ReportMetric((h.metric(b, "sent_bytes_total")-sent)/1e3/float64(b.N), "kB/op")
	b.ReportMetric(float64(syncTime.Milliseconds()), "sync-ms")
	b.ReportMetric(float64(syncCPU.Milliseconds()), "sync-cpu-ms")
	b.ReportMetric(sent/1e6, "sync-MB")
}

// BenchmarkDelta changes one of the objects that many relays share. CPU is that
// of the whole hub: the store's Set, the views and the server.
func BenchmarkDelta(b *testing.B) {
	for _, size := range []struct{ objects, streams int }{{100, 500}, {10_000, 500}, {10_000, 50}} {
		b.Run(fmt.Sprintf("objects=%d/edges=%d", size.objects, size.streams), func(b *testing.B) {
			benchmarkFanOut(b, "delta", size.streams, size.objects, virtualServices, func(name string, version int) intent.Op {
				return threeRoutes(b, name, version)
			})
		})
	}
}

// BenchmarkStateOfTheWorld changes one of the objects that plain istiods
// share.
func BenchmarkStateOfTheWorld(b *testing.B) {
	benchmarkFanOut(b, "sotw", 50, 10_000, serviceEntries, func(name string, version int) intent.Op {
		spec := fmt.Sprintf(`{"hosts":["%s.v%d.example"],"ports":[{"number":80,"name":"http","protocol":"HTTP"}],"resolution":"DNS"}`, name, version)
		return resource(b, "ServiceEntry", name, spec, benchClusterNames...)
	})
}

// threeRoutes is a VirtualService of about 570 bytes.
func threeRoutes(b *testing.B, name string, version int) intent.Op {
	var routes []string
	for i := range 3 {
		routes = append(routes, fmt.Sprintf(`{"match":[{"uri":{"prefix":"/%d"}}],"route":[{"destination":{"host":"v%d.%s.global","subset":"s%d"}}]}`, i, version, name, i))
	}
	return resource(b, "VirtualService", name, fmt.Sprintf(`{"hosts":["%s.global"],"http":[%s]}`, name, strings.Join(routes, ",")), benchClusterNames...)
}

// BenchmarkIdleStream tells what an idle edge costs in memory, all of the
// process counted: heap, stacks, and what the runtime keeps beside.
func BenchmarkIdleStream(b *testing.B) {
	const streams = 1000
	m := newBenchStore(b)
	m.apply(b, threeRoutes(b, "r", 0))
	h := startHub(b, m, func(c *Config) { c.MaxStreamsPerCluster = streams })
	h.settle(b)
	inUse := func() float64 {
		runtime.GC()
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return float64(s.HeapInuse + s.StackInuse + s.MSpanInuse)
	}
	before := inUse()
	e := startEdges(b, h, "sotw", streams, virtualServices)
	e.wait(b)
	used := cpu(b)
	version := 0
	for b.Loop() {
		version++
		m.apply(b, threeRoutes(b, "r", version))
		e.wait(b)
	}
	b.ReportMetric(float64((cpu(b)-used).Microseconds())/1e3/float64(b.N), "cpu-ms/op")
	b.ReportMetric((inUse()-before)/1e3/streams, "kB/stream")
}

// Package wait polls for a condition with a deadline, so that no test sleeps
// and hopes.
package wait

import (
	"testing"
	"time"
)

// Limit is how long Until waits. It is generous: a loaded two-core machine
// must not fail a test that would pass on an idle one.
const Limit = 30 * time.Second

// interval is the pause between two looks.
const interval = 10 * time.Millisecond

// Until calls check until it returns nil. It fails the test with the last
// error when Limit has passed. what completes "waiting for ...".
func Until(t testing.TB, what string, check func() error) {
	t.Helper()
	Within(t, Limit, what, check)
}

// Within is Until with a limit of the caller's.
func Within(t testing.TB, limit time.Duration, what string, check func() error) {
	t.Helper()
	if err := poll(t, limit, check); err != nil {
		t.Fatalf("waiting %v for %s: %v", limit, what, err)
	}
}

// Holds calls check for the whole of d and fails the test at the first error:
// the way to say that something does not happen.
func Holds(t testing.TB, d time.Duration, what string, check func() error) {
	t.Helper()
	end := time.After(d)
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		if err := check(); err != nil {
			t.Fatalf("%s did not hold for %v: %v", what, d, err)
		}
		select {
		case <-end:
			return
		case <-tick.C:
		}
	}
}

// poll returns nil as soon as check does, and check's last error at the limit
// or when the test ends.
func poll(t testing.TB, limit time.Duration, check func() error) error {
	end := time.After(limit)
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return nil
		}
		select {
		case <-end:
			return err
		case <-t.Context().Done():
			return err
		case <-tick.C:
		}
	}
}

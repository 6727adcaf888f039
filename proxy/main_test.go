package proxy

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails if a goroutine outlives the tests: who starts one ends it.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(
		m,
		// A look-up that was given up goes on, in package net, until its own timeout of some seconds.
		goleak.IgnoreAnyFunction("net.(*Resolver).lookupIPAddr.func2"),
		goleak.IgnoreAnyFunction("net.(*Resolver).goLookupIPCNAMEOrder.func4"),
		goleak.IgnoreAnyFunction("net.(*Resolver).tryOneName"),
	)
}

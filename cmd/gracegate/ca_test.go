package main

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/gracegate/gracegate/certs"
	"github.com/gracegate/gracegate/policy/host"
)

// The command of a script that needs a CA which gracegate ca init cannot make:
//
//	ca-made DURATION DIR ZONE... make a CA in DIR, as it would have been made so long ago

func scriptCAMade(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) > 2, "ca-made DURATION DIR ZONE...")
	ago, err := time.ParseDuration(args[0])
	ts.Check(err)
	var zones []host.Name
	for _, z := range args[2:] {
		zones = append(zones, host.MustParse(z))
	}
	_, err = certs.Store{Dir: ts.MkAbs(args[1])}.Init(zones, time.Now().Add(-ago))
	ts.Check(err)
}

// A gateway that is never restarted says in time, and until it is done, that its CA must be renewed.
func TestRemindDaily(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "ca")
	synctest.Test(t, func(t *testing.T) {
		zones := []host.Name{host.MustParse("updates.example")}
		if _, err := initCA(dir, "", zones, nil); err != nil {
			t.Fatal(err)
		}
		core, logged := observer.New(zap.WarnLevel)
		ca, err := newAuthority(dir, zap.New(core))
		if err != nil {
			t.Fatal(err)
		}
		g := &gateway{log: ca.log, authority: ca}
		if err := g.authority.load(); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		go g.remindDaily(ctx)
		days := func(n time.Duration) {
			time.Sleep(n * 24 * time.Hour)
			synctest.Wait()
		}

		days(334)
		if n := logged.Len(); n != 0 {
			t.Errorf("%d reminders more than 30 days before the end", n)
		}
		if _, due := g.authority.due(time.Now()); due {
			t.Error("due more than 30 days before the end")
		}
		days(10)
		reminders := logged.TakeAll()
		if len(reminders) != 10 || reminders[0].Message != "the CA nears its end" {
			t.Errorf("%d reminders in the ten days after: %v", len(reminders), reminders)
		}

		if _, err := renewCA(dir, "", zones, nil); err != nil {
			t.Fatal(err)
		}
		if err := g.authority.load(); err != nil {
			t.Fatal(err)
		}
		days(300)
		if n := logged.Len(); n != 0 {
			t.Errorf("%d reminders after it was renewed", n)
		}

		// Nobody renews it: that is said at its end, every day from then on, and nothing is signed for.
		days(46)
		logged.TakeAll()
		before := time.Now()
		time.Sleep(time.Until(g.authority.notAfter()))
		synctest.Wait()
		if !g.authority.issuer.Permits(zones[0]) || logged.FilterLevelExact(zap.ErrorLevel).Len() > 0 || time.Since(before) < 18*24*time.Hour {
			t.Errorf("at its last instant: permitted %v, %v", g.authority.issuer.Permits(zones[0]), logged.FilterLevelExact(zap.ErrorLevel).All())
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		errs := logged.FilterLevelExact(zap.ErrorLevel).TakeAll()
		if len(errs) != 1 || errs[0].Message != "nothing is intercepted: the CA is not in force" || errs[0].ContextMap()["hint"] != "gracegate ca renew" || g.authority.issuer.Permits(zones[0]) {
			t.Errorf("at its end: %v", errs)
		}
		logged.TakeAll()
		days(10)
		if n := logged.FilterLevelExact(zap.ErrorLevel).Len(); n != 10 || logged.Len() != n {
			t.Errorf("%d errors among %d lines in the ten days after: %v", n, logged.Len(), logged.All())
		}
		if _, err := renewCA(dir, "", zones, nil); err != nil {
			t.Fatal(err)
		}
		if err := g.authority.load(); err != nil || !g.authority.issuer.Permits(zones[0]) {
			t.Errorf("renewed: %v, permitted %v", err, g.authority.issuer.Permits(zones[0]))
		}

		// One that has ended takes the place of none that is in force.
		at := time.Now()
		if _, err := (certs.Store{Dir: dir}).Renew(zones, at.Add(-366*24*time.Hour)); err != nil {
			t.Fatal(err)
		}
		if err := g.authority.load(); err == nil || !strings.Contains(err.Error(), "the CA has ended") || !g.authority.issuer.Permits(zones[0]) {
			t.Errorf("an old one: %v, permitted %v", err, g.authority.issuer.Permits(zones[0]))
		}
		stop()
		synctest.Wait()
	})
}

// However many certificates cannot be made, there is a warning a minute.
func TestMintFailures(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		core, logged := observer.New(zap.WarnLevel)
		ca, err := newAuthority("", zap.New(core))
		if err != nil {
			t.Fatal(err)
		}
		fail := func(name string, times int) {
			t.Helper()
			for range times {
				if _, err := ca.issuer.Leaf(host.MustParse(name)); err == nil {
					t.Fatal("a certificate without a CA")
				}
			}
		}
		fail("a.example", 100)
		fail("b.example", 100)
		time.Sleep(time.Minute)
		fail("c.example", 1)
		warnings := logged.TakeAll()
		if len(warnings) != 2 {
			t.Fatalf("%d warnings, want 2: %v", len(warnings), warnings)
		}
		first, second := warnings[0].ContextMap(), warnings[1].ContextMap()
		if first["host"] != "a.example" || first["failures"] != int64(1) || !strings.Contains(first["error"].(string), "outside the zones") ||
			second["host"] != "c.example" || second["failures"] != int64(200) {
			t.Errorf("%v and %v", first, second)
		}
	})
}

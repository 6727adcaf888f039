package main

import (
	"context"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/gracegate/gracegate/policy/host"
)

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
		ca, err := newAuthority(dir)
		if err != nil {
			t.Fatal(err)
		}
		g := &gateway{log: zap.New(core), authority: ca}
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
		stop()
		synctest.Wait()
	})
}

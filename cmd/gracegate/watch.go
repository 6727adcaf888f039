package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
	"go.uber.org/zap"

	"github.com/gracegate/gracegate/policy/catalog"
)

// settle is how long the files must be quiet before they are read: editors and mounts change them in several steps.
const settle = 200 * time.Millisecond

// watcher follows the operator's files, the catalogue's directory and the CA's through renames and swapped symlinks, at any place
// in their paths, by watching the directories around them.
type watcher struct {
	files             []string // policy, waivers and users, those that are named
	catalogDir, caDir string
	notify            *fsnotify.Watcher
	last              string
}

// newWatcher begins to watch. That comes before the files are read for the first time: what changes in between is then seen,
// rather than taken for what was read.
func newWatcher(files []string, catalogDir, caDir string) (*watcher, error) {
	n, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watching for changes: %w", err)
	}
	w := &watcher{files: files, catalogDir: catalogDir, caDir: caDir, notify: n}
	w.watchAround()
	w.last = w.print()
	return w, nil
}

func (w *watcher) close() { _ = w.notify.Close() }

// run calls changed whenever the files became different, until ctx ends.
func (w *watcher) run(ctx context.Context, log *zap.Logger, changed func()) {
	timer := time.NewTimer(settle)
	timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.notify.Events:
			timer.Reset(settle)
		case err := <-w.notify.Errors:
			log.Warn("watching policy and catalogue", zap.Error(err), zap.String("hint", "send SIGHUP after a change"))
		case <-timer.C:
			// What was swapped in is watched from now on. Looking at the files comes after that, so that no change is missed.
			w.watchAround()
			if now := w.print(); now != w.last {
				w.last = now
				changed()
			}
		}
	}
}

// watchAround watches the directories in which a change would show. One that is not there is seen to come by its parent.
func (w *watcher) watchAround() {
	for _, name := range w.files {
		watchLinks(w.notify, name)
		_ = w.notify.Add(filepath.Dir(name))
	}
	if w.catalogDir != "" {
		w.watchCatalog()
	}
	if w.caDir != "" {
		watchLinks(w.notify, w.caDir)
		// Who has no CA yet has no directory for data either: the nearest one that is there shows what comes.
		_ = w.notify.Add(w.caDir)
		for dir := filepath.Dir(w.caDir); w.notify.Add(dir) != nil && dir != filepath.Dir(dir); {
			dir = filepath.Dir(dir)
		}
	}
}

func (w *watcher) watchCatalog() {
	watchLinks(w.notify, w.catalogDir)
	_ = w.notify.Add(filepath.Dir(w.catalogDir))
	_ = filepath.WalkDir(w.catalogDir, func(path string, d os.DirEntry, err error) error {
		if err == nil && (d.IsDir() || d.Type()&os.ModeSymlink != 0) {
			watchLinks(w.notify, path)
			_ = w.notify.Add(path)
		}
		return nil
	})
	for _, sub := range []string{"", "vendors", "restrictions"} {
		_ = w.notify.Add(filepath.Join(w.catalogDir, sub))
	}
}

// print tells two states of the files apart. Of a CA, also the modes of its key and its directory, which may have been mended.
func (w *watcher) print() string {
	all, err := catalog.Fingerprint(w.catalogDir)
	if err != nil {
		all = err.Error()
	}
	files := slices.Clone(w.files)
	if w.caDir != "" {
		if info, err := os.Stat(w.caDir); err == nil {
			all += " " + info.Mode().String()
		}
		for _, name := range []string{"root.pem", "intermediate.pem", "intermediate.key"} {
			files = append(files, filepath.Join(w.caDir, name))
		}
	}
	for _, name := range files {
		info, err := os.Stat(name)
		if err != nil {
			all += " " + err.Error()
		} else {
			all += " " + catalog.Stamp(info)
		}
	}
	return all
}

// watchLinks watches the directory of every symlink on the way to path.
func watchLinks(w *fsnotify.Watcher, path string) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return
	}
	var way strings.Builder
	for part := range strings.SplitSeq(filepath.ToSlash(abs), "/") {
		way.WriteString(part + "/")
		name := strings.TrimSuffix(way.String(), "/")
		if info, err := os.Lstat(name); err == nil && info.Mode()&os.ModeSymlink != 0 {
			_ = w.Add(filepath.Dir(name))
			if target, err := filepath.EvalSymlinks(name); err == nil {
				_ = w.Add(filepath.Dir(target))
			}
		}
	}
}

package main

import (
	"context"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// watchEvery is how often the files are looked at. A project's are some hundred: that takes
// a millisecond. After a change they are looked at again, after settleTime, until nothing
// changes any more: an editor may save several files, one after the other.
const (
	watchEvery = 40 * time.Millisecond
	settleTime = 30 * time.Millisecond
)

// fileState tells whether a file was saved, or may be read now.
type fileState struct {
	modified time.Time
	size     int64
	mode     fs.FileMode
}

// filesState returns the states of files, and of all Ruby and YAML files below folders. What
// is not there, or cannot be read, is left out.
func filesState(folders, files []string) map[string]fileState {
	found := map[string]fileState{}
	add := func(path string) {
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			found[filepath.Clean(path)] = fileState{info.ModTime(), info.Size(), info.Mode()}
		}
	}
	for _, dir := range folders {
		_ = filepath.WalkDir(dir+string(filepath.Separator), func(path string, d fs.DirEntry, err error) error { // the folder may be a link
			if err == nil && !d.IsDir() && slices.Contains([]string{".rb", ".yaml", ".yml"}, filepath.Ext(path)) {
				add(path)
			}
			return nil
		})
	}
	for _, path := range files {
		add(path)
	}
	return found
}

// awaitChange waits until files were saved, made or removed, and no more of them are. It
// returns none when the context ends.
func awaitChange(ctx context.Context, look func() map[string]fileState, before map[string]fileState) []string {
	last, pause := before, watchEvery
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		now := look()
		if !maps.Equal(now, last) {
			last, pause = now, settleTime
			continue
		}
		if changed := difference(before, now); len(changed) > 0 {
			return changed
		}
		pause = watchEvery
	}
}

// difference lists the files that differ, in order.
func difference(before, now map[string]fileState) []string {
	changed := map[string]bool{}
	for path, state := range now {
		if before[path] != state {
			changed[path] = true
		}
	}
	for path := range before {
		if _, ok := now[path]; !ok {
			changed[path] = true
		}
	}
	return slices.Sorted(maps.Keys(changed))
}

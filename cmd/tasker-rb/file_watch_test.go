package main

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWhatIsWatched(t *testing.T) {
	t.Parallel()
	p := &project{t: t, dir: t.TempDir()}
	p.write(map[string]string{
		"handlers/a.rb": "", "handlers/deep/b.rb": "", "handlers/b.rb~": "", "handlers/notes.txt": "", "elsewhere/c.rb": "", "context.json": "",
	})
	in := func(name string) string { return filepath.Join(p.dir, name) }
	require.NoError(t, os.Symlink(in("elsewhere"), in("linked")))
	require.NoError(t, os.Symlink(in("nowhere"), in("handlers/.#a.rb"))) // an editor's lock
	look := func() map[string]fileState {
		return filesState([]string{in("handlers"), in("linked"), in("absent")}, []string{in("context.json"), in("handlers"), in("none.json")})
	}
	before := look()
	require.Equal(t, []string{in("context.json"), in("handlers/a.rb"), in("handlers/deep/b.rb"), in("linked/c.rb")}, slices.Sorted(maps.Keys(before)))

	p.write(map[string]string{"elsewhere/c.rb": "more", "handlers/new.rb": ""})
	require.NoError(t, os.Remove(in("handlers/a.rb")))
	require.Equal(t, []string{in("handlers/a.rb"), in("handlers/new.rb"), in("linked/c.rb")}, awaitChange(t.Context(), look, before))
	before = look()
	require.NoError(t, os.Chmod(in("context.json"), 0o600)) // it may be read now
	require.Equal(t, []string{in("context.json")}, awaitChange(t.Context(), look, before))
	over, cancel := context.WithCancel(t.Context())
	cancel()
	require.Empty(t, awaitChange(over, look, look()))
}

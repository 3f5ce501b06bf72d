package localpg_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/errors"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/internal/effort"
	"github.com/tasker-rb/tasker-rb/orchestration/localpg"
)

// prepared is a database with one table, and the number of times that it was made.
func prepared(t *testing.T) (o localpg.Options, made *atomic.Int32) {
	made = &atomic.Int32{}
	fill := func(ctx context.Context, url string) error {
		made.Add(1)
		conn, err := pgx.Connect(ctx, url)
		if err != nil {
			return err
		}
		_, err = conn.Exec(ctx, "create table things (name text); insert into things values ('one')")
		return errors.CombineErrors(err, conn.Close(ctx))
	}
	p := &localpg.Prepared{Key: "test", Fill: fill, Dir: t.TempDir()}
	return localpg.Options{Ephemeral: true, Dir: stateDir(t), Prepared: p}, made
}

// archives lists what is in the folder of the prepared database.
func archives(t *testing.T, o localpg.Options) []string {
	t.Helper()
	entries, err := os.ReadDir(o.Prepared.Dir)
	require.NoError(t, err)
	var paths []string
	for _, e := range entries {
		paths = append(paths, filepath.Join(o.Prepared.Dir, e.Name()))
	}
	return paths
}

const things = "select string_agg(name, ' ') from things"

func TestAPreparedDatabaseIsMadeOnce(t *testing.T) {
	t.Parallel()
	o, made := prepared(t)
	for range 2 {
		server := open(t, o)
		require.Equal(t, "one", ask(t, server.URL(), things))
		ask(t, server.URL(), "insert into things values ('two') returning 'x'")
		require.Equal(t, "off", ask(t, server.URL(), "show fsync"))
		require.NoError(t, server.Close())
		requireEmpty(t, o.Dir)
		require.EqualValues(t, 1, made.Load())
	}
	require.Len(t, archives(t, o), 1)
}

func TestAPreparedDatabaseIsMadeByManyAtOnce(t *testing.T) {
	t.Parallel()
	o, _ := prepared(t)
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			server, err := localpg.Start(t.Context(), o)
			if err != nil {
				t.Error(err)
				return
			}
			name, err := tryAsk(server.URL(), things)
			if err = errors.CombineErrors(err, server.Close()); err != nil || name != "one" {
				t.Error(name, err)
			}
		})
	}
	all.Wait()
	require.Len(t, archives(t, o), 1)
}

func TestADamagedPreparedDatabaseIsMadeAgain(t *testing.T) {
	t.Parallel()
	o, made := prepared(t)
	require.NoError(t, open(t, o).Close())
	path := archives(t, o)[0]
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	control := append([]byte(nil), whole...)
	for i := range control { // the folders stay, and no file has its content
		if i%512 == 0 && control[i] != 0 && i+1024 <= len(control) && control[i+156] == '0' {
			for j := i + 512; j < i+1024; j++ {
				control[j] = 'x'
			}
		}
	}
	changed := bytes.Clone(whole)
	changed[bytes.LastIndex(changed, []byte("things"))] = 'T' // PostgreSQL would not notice it
	for name, content := range map[string][]byte{
		"one letter is another": changed, "empty": {}, "cut off": whole[:len(whole)/2], "without its end": whole[:len(whole)-3*512], "no archive": []byte("something else"), "nonsense": control,
	} {
		if slices.Contains([]string{"empty", "cut off", "no archive"}, name) && !effort.Thorough() {
			continue
		}
		require.NoError(t, os.WriteFile(path, content, 0o600))
		before := made.Load()
		server := open(t, o)
		require.Equal(t, "one", ask(t, server.URL(), things), name)
		require.NoError(t, server.Close())
		require.Equal(t, before+1, made.Load(), name)
	}
	requireEmpty(t, o.Dir)
}

func TestAPreparedDatabaseThatCannotBeFilled(t *testing.T) {
	t.Parallel()
	o, _ := prepared(t)
	o.Prepared.Fill = func(context.Context, string) error { return errors.New("on purpose") }
	_, err := localpg.Start(t.Context(), o)
	require.ErrorContains(t, err, "on purpose")
	require.Empty(t, archives(t, o))
	requireEmpty(t, o.Dir)
}

func TestAPreparedDatabaseThatIsNotUsedIsRemoved(t *testing.T) {
	t.Parallel()
	o, _ := prepared(t)
	old := filepath.Join(o.Prepared.Dir, "postgres-14.1-old.tar")
	half := filepath.Join(o.Prepared.Dir, ".postgres-123") // of a command that was killed
	long := time.Now().Add(-40 * 24 * time.Hour)
	for _, path := range []string{old, half} {
		require.NoError(t, os.WriteFile(path, nil, 0o600))
		require.NoError(t, os.Chtimes(path, long, long))
	}
	require.NoError(t, open(t, o).Close())
	require.NoFileExists(t, old)
	require.NoFileExists(t, half)
	require.Len(t, archives(t, o), 1)
}

func TestPreparedDatabasesThatAreRefused(t *testing.T) {
	t.Parallel()
	o, _ := prepared(t)
	for what, change := range map[string]func(*localpg.Options){
		"is an ephemeral one": func(o *localpg.Options) { o.Ephemeral = false },
		`the key "A/b"`:       func(o *localpg.Options) { o.Prepared.Key = "A/b" },
		"another user": func(o *localpg.Options) {
			o.Prepared.Key, o.Prepared.Dir = "test", strangersDir(t)
		},
	} {
		changed, copied := o, *o.Prepared
		changed.Prepared = &copied
		change(&changed)
		_, err := localpg.Start(t.Context(), changed)
		require.ErrorContains(t, err, what)
		require.NotEmpty(t, errors.FlattenHints(err))
	}
}

// strangersDir is a folder of another user.
func strangersDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if os.Geteuid() != 0 {
		return "/"
	}
	require.NoError(t, os.Chown(dir, 65534, 65534))
	return dir
}

// A command that is killed while it fills the database leaves nothing, and no half of it.
func TestAKilledPreparation(t *testing.T) {
	t.Parallel()
	o, _ := prepared(t)
	killed := begin(t, order{Options: o, Prepared: o.Prepared.Dir}, nil)
	require.True(t, waitUntil(func() bool { return len(remains(o.Dir)) > 0 && filled(o.Prepared.Dir) }))
	killed.kill(syscall.SIGKILL)
	require.True(t, waitUntil(func() bool {
		entries, err := os.ReadDir(o.Dir)
		return err == nil && len(entries) == 0
	}))
	require.Empty(t, archives(t, o))
	require.NoError(t, os.Remove(filepath.Join(o.Prepared.Dir, "..", "filling")))
}

func filled(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "..", "filling"))
	return err == nil
}

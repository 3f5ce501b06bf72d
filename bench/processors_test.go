package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParseStat(t *testing.T) {
	t.Parallel()
	const line = "4711 (a (odd) name) S 1 4711 4711 0 -1 4194560 9 9 9 9 150 25 300 50 20 0 3 0 12345 0 0"
	s, err := parseStat([]byte(line))
	require.NoError(t, err)
	require.Equal(t, procStat{pid: 4711, parent: 1, own: 1750 * time.Millisecond, ended: 3500 * time.Millisecond}, s)
	for _, wrong := range []string{"", "4711", "4711 (ruby) S 1", "4711 )ruby( S 1 2", strings.Replace(line, "150", "x", 1), strings.Replace(line, "4711", "x", 1)} {
		_, err := parseStat([]byte(wrong))
		require.Error(t, err, "%q", wrong)
	}
}

// The time of a child counts while it runs, and when it has ended. A grandchild counts,
// too.
func TestProcessTimeCountsChildren(t *testing.T) {
	t.Parallel()
	const spin = `ruby -e 'nil until Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID) > 0.2'`
	script := spin + "; sh -c \"" + strings.ReplaceAll(spin, `"`, `\"`) + "; echo spun; read line\"; true"
	cmd := exec.Command("sh", "-c", script)
	input, err := cmd.StdinPipe()
	require.NoError(t, err)
	output, err := cmd.StdoutPipe()
	require.NoError(t, err)
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	line := make([]byte, len("spun\n"))
	_, err = output.Read(line)
	require.NoError(t, err)
	require.Equal(t, "spun\n", string(line))
	used, err := processTime(cmd.Process.Pid)
	require.NoError(t, err)
	require.GreaterOrEqual(t, used, 380*time.Millisecond) // two clock ticks may be lost
	require.NoError(t, input.Close())
	require.NoError(t, cmd.Wait())
	_, err = processTime(cmd.Process.Pid)
	require.ErrorContains(t, err, "read the times of process")
}

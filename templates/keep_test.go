package templates_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/templates"
)

func TestQueueAndKeepAreEncoded(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]struct {
		queue string
		keep  templates.Keep
		text  string // of keep
	}{
		"":                          {queue: "default"},
		"queue: default\n":          {queue: "default"},
		"queue: mail.v2_x-1\n":      {queue: "mail.v2_x-1"},
		"keep: 30d\n":               {queue: "default", keep: templates.Keep{For: 720 * time.Hour}, text: "30d"},
		"keep: 720h\n":              {queue: "default", keep: templates.Keep{For: 720 * time.Hour}, text: "30d"},
		"keep: 12h\n":               {queue: "default", keep: templates.Keep{For: 12 * time.Hour}, text: "12h"},
		"keep: 90m\n":               {queue: "default", keep: templates.Keep{For: 90 * time.Minute}, text: "1h30m"},
		"keep: 1h0m5s\n":            {queue: "default", keep: templates.Keep{For: time.Hour + 5*time.Second}, text: "1h0m5s"},
		"keep: 10m\n":               {queue: "default", keep: templates.Keep{For: 10 * time.Minute}, text: "10m"},
		"queue: a\nkeep: forever\n": {queue: "a", keep: templates.Keep{Forever: true}, text: "forever"},
	} {
		tmpl := parse(t, "name: x\n"+said+steps)
		require.Equal(t, want.queue, tmpl.Queue, said)
		require.Equal(t, want.keep, tmpl.Keep, said)
		require.Equal(t, want.text, tmpl.Keep.String(), said)
		decoded, err := templates.Decode(tmpl.Encode())
		require.NoError(t, err)
		require.Equal(t, want.queue, decoded.Queue, said)
		require.Equal(t, want.keep, decoded.Keep, said)
		require.Equal(t, tmpl.Digest(), decoded.Digest(), said)
	}
	require.Equal(t, parse(t, "name: x\nkeep: 30d\n"+steps).Digest(), parse(t, "name: x\nkeep: 720h\n"+steps).Digest())
}

func TestQueueAndKeepAreShown(t *testing.T) {
	t.Parallel()
	before, after := parse(t, "name: x\n"+steps), parse(t, "name: x\nqueue: mail\nkeep: 30d\n"+steps)
	require.Equal(t, "+ keep: \"30d\"\n+ queue: \"mail\"\n", templates.Diff(before, after))
	require.Contains(t, after.Text(), "default/x 0.1.0 (1 step, 1 level, queue mail, kept 30d)\n")
	require.Contains(t, before.Text(), "default/x 0.1.0 (1 step, 1 level)\n")
}

func TestAnEnvironmentHasItsOwnKeep(t *testing.T) {
	t.Parallel()
	const file = "name: x\nqueue: mail\nkeep: 30d\nenvironments: {test: {keep: 1h, queue: slow}}\n" + steps
	tmpl := parse(t, file, templates.WithEnvironment("test"))
	require.Equal(t, templates.Keep{For: time.Hour}, tmpl.Keep)
	require.Equal(t, "slow", tmpl.Queue)
}

// The stored templates of running tasks have these digests.
func TestDigestsOfTheExamplesStay(t *testing.T) {
	t.Parallel()
	for file, digest := range map[string]string{
		"testdata/order.yml":                                  "6ab21a28ab7946dc704784dca54a839d8614aae4cc02dda037288b5c370675f7",
		"examples/exact_diamond/exact_diamond.yaml":           "a85b9e0a3b279b5a618b8895cd24444e53cf0413c4df23ba36a6a6ae7ccc7407",
		"examples/order_fulfillment/order_fulfillment.yaml":   "1d7701dde49a187f98a016af42d9722e67fad0d7fff17bc1077168fce15980b8",
		"examples/parallel_analytics/parallel_analytics.yaml": "1b708e571614f74399a06ab6654f753a2f17229f7e3450969ea36d64b8727f82",
	} {
		tmpl, err := templates.Load(file)
		require.NoError(t, err)
		require.Equal(t, digest, tmpl.Digest(), file)
	}
}

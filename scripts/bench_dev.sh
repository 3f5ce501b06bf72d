#!/bin/sh
# Times `tasker-rb dev`: from a save of a handler to the first line of its process, SAVES times
# (default 40). Beside it, in turns: `tasker-rb run` of the same task, from its start to that line.
# Prints seconds: the median, the least, the most.
set -eu
saves=${SAVES:-40}
tasker=$(pwd)/bin/tasker-rb
folder=$(mktemp -d)
dev=
trap '[ -z "$dev" ] || { kill -INT "$dev" && wait "$dev" || true; }; rm -rf "$folder"' EXIT
cd "$folder"
mkdir handlers
cat > one.yaml <<'YAML'
name: one
step_templates:
  - {name: one, handler_class: One}
YAML
# The handler says when it began. It renames the file, so that nobody reads half of it.
handler() {
	cat > handlers/one.rb.new <<RUBY
class One < Tasker::StepHandler::Base
  def process(_task, _sequence, _step)
    File.write("began.new", Process.clock_gettime(Process::CLOCK_REALTIME).to_s) # $1
    File.rename("began.new", "began")
    :ok
  end
end
RUBY
	mv handlers/one.rb.new handlers/one.rb
}
failed() {
	cat out >&2
	exit 1
}
# Waits until the command has said $1 times that it watches.
watching() {
	tries=0
	until [ "$(grep -c '^watching ' out)" -ge "$1" ]; do
		tries=$((tries + 1))
		[ "$tries" -lt 1000 ] || failed
		sleep 0.02
	done
}
took() { awk -v b="$1" '{ printf "%.3f\n", $1 - b }' began; }
summary() { sort -n "$1" | awk '{ v[NR] = $1 } END { printf "median %.2f s (%.2f to %.2f)", v[int((NR + 1) / 2)], v[1], v[NR] }'; }

handler 0
"$tasker" dev one.yaml > out 2>&1 &
dev=$!
watching 1
for save in $(seq "$saves"); do
	sleep "0.$((save * 37 % 90 + 10))" # not in step with the looks at the files
	rm -f began
	at=$(date +%s.%N)
	handler "$save"
	watching $((save + 1))
	took "$at" >> saved
	at=$(date +%s.%N)
	"$tasker" run one.yaml > run.out 2>&1 || { cat run.out >&2; exit 1; }
	took "$at" >> started
done
echo "a save, until the handler begins:            $(summary saved)"
echo "tasker-rb run, from its start until then:    $(summary started)"

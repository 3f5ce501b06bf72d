#!/bin/sh
# Times `tasker-rb test` on EXAMPLES examples (default 200), each of which runs a task of four steps
# from end to end: one example alone, all in one process, all in two. Prints seconds; the first line
# is the start.
set -eu
examples=${EXAMPLES:-200}
rounds=${ROUNDS:-3}
tasker=$(pwd)/bin/tasker-rb
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir -p handlers templates spec
cat > templates/four.yaml <<'YAML'
name: four
step_templates:
  - {name: a, handler_class: Four::Write}
  - {name: b, handler_class: Four::Add, depends_on_step: a}
  - {name: c, handler_class: Four::Add, depends_on_step: a}
  - {name: d, handler_class: Four::Sum, depends_on_steps: [b, c]}
YAML
cat > handlers/four.rb <<'RUBY'
module Four
  class Write < Tasker::StepHandler::Base
    def process(task, _sequence, _step)
      Tasker.db.first("INSERT INTO numbers (n) VALUES ($1) RETURNING n", [task.context[:n]])
    end
  end

  class Add < Tasker::StepHandler::Base
    def process(_task, sequence, _step) = { n: sequence.get_results("a")["n"] + 1 }
  end

  class Sum < Tasker::StepHandler::Base
    def process(_task, sequence, _step) = { n: sequence.get_results("b")["n"] + sequence.get_results("c")["n"] }
  end
end
RUBY
cat > spec/spec_helper.rb <<'RUBY'
require "tasker/testing"
Tasker.db.exec("CREATE TABLE numbers (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n int NOT NULL)")
RUBY
echo "--require spec_helper" > .rspec
half=$((examples / 2))
for part in 1 2; do
	{
		echo "RSpec.describe \"part $part\" do"
		echo "  $half.times do |i|"
		echo '    it "sums #{i}" do'
		echo '      task = run_task("four", context: { n: i })'
		echo '      expect(task).to be_complete'
		echo '      expect(task.step("d").results["n"]).to eq(2 * i + 2)'
		echo '      expect(Tasker.db.first("SELECT count(*) AS c FROM numbers")["c"]).to eq(1)'
		echo '    end'
		echo '  end'
		echo 'end'
	} > spec/part_${part}_spec.rb
done
cat > spec/one_spec.rb <<'RUBY'
RSpec.describe("one") { it("runs") { expect(run_task("four", context: { n: 1 })).to be_complete } }
RUBY
took() {
	began=$(date +%s.%N)
	"$tasker" test "$@" > "$folder/out" 2>&1 || { cat "$folder/out" >&2; exit 1; }
	date +%s.%N | awk -v b="$began" '{printf "%.2f", $1 - b}'
}
took spec/one_spec.rb > /dev/null # warm
for round in $(seq "$rounds"); do
	echo "round $round: 1 example $(took spec/one_spec.rb) s, $examples examples $(took spec/part_1_spec.rb spec/part_2_spec.rb) s, with --parallel 2 $(took --parallel 2 spec/part_1_spec.rb spec/part_2_spec.rb) s"
done

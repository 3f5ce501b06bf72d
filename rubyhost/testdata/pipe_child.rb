# frozen_string_literal: true

# What embedding is measured against: a child ruby that gets one JSON document
# a line with the same parts of a step, runs the same handler class with the
# same library, and answers with one JSON document a line.

$LOAD_PATH.unshift(File.expand_path("../ruby/lib", __dir__))
require "json"
require "tasker"
require "tasker/execution"

eval(ARGV.fetch(0), TOPLEVEL_BINDING, "handler.rb", 1)
handler = Tasker::Execution.check(Object.const_get(ARGV.fetch(1)))
while (line = $stdin.gets)
  id, *segments = JSON.parse(line)
  result = Tasker::Execution.run(handler, segments)
  $stdout.write(JSON.generate({ "id" => id, "result" => result }), "\n")
  $stdout.flush
end

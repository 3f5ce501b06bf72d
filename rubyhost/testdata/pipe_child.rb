# frozen_string_literal: true

# What embedding is measured against: a child ruby that reads one JSON
# document a line, does the same work, and writes one a line.

require "json"

$stdout.sync = false
kind = ARGV.fetch(0)
while (line = $stdin.gets)
  input = JSON.parse(line)
  result =
    case kind
    when "empty" then nil
    when "task" then {
      "order_id" => input["task"]["context"]["order_id"],
      "total" => input["results"]["reserve"]["total"],
      "status" => "charged", "note" => "x" * 180
    }
    end
  $stdout.write(JSON.generate("id" => input["id"], "result" => result), "\n")
  $stdout.flush
end

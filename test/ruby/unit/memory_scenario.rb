# frozen_string_literal: true

require_relative "helper"

# Runs handlers' code as a soak does, in a Ruby of its own: a process is marked once.
module MemoryScenario
  RUN = <<~'RUBY'
    require "tasker"
    require "tasker/host/memory"
    memory = Tasker.const_get(:Host)::Memory
    memory.start
    load ARGV[0]
    tasks = Integer(ARGV[1])
    number = 0
    run = ->(count) { count.times { Tasks.run(number += 1) } }
    run.call(tasks / 2)
    memory.mark
    run.call(tasks)
    memory.mark
    run.call(tasks)
    suspects = memory.suspects(10, [File.dirname(ARGV[0])], tasks)
    run.call(20)
    puts JSON.generate(suspects: suspects, stores: memory.stores)
  RUBY

  # What a run has found.
  Found = Struct.new(:file, :suspects, :stores) do
    # @return [Integer] the line with this comment
    def line(marker)
      File.readlines(file).index { |line| line.include?("# #{marker}") } + 1
    end

    def first = suspects.first

    # The last object of either run may be found: it depends on where Ruby's heap has them.
    # Here it is always that of the second run.
    #
    # @return [Array] kinds and names on the way
    def way = first["path"].map { |holder| [holder["kind"], holder["name"]].compact.join(" ").sub(/\b1(49|50)\b/, '2\1') }
  end

  # @param source [String] with a module Tasks, which has a method run(number)
  # @param tasks [Integer] of each of the two runs
  def found(source, tasks: 100)
    Dir.mktmpdir do |dir|
      file = File.join(File.realpath(dir), "tasks.rb")
      File.write(file, source)
      out, err, status = Open3.capture3(RbConfig.ruby, "-w", "-I#{UnitHelper::LIB}", "-e", RUN, file, tasks.to_s)
      assert status.success?, "#{out}#{err}"
      assert_empty err
      answer = JSON.parse(out.lines.last)
      yield Found.new(file, answer["suspects"], answer["stores"])
    end
  end

  def assert_lines(found, allocated: nil, stored: nil)
    assert_equal [found.file, found.line(allocated)], found.first["allocated"].values_at("file", "line") if allocated
    assert_equal [found.file, found.line(stored)], found.stores.fetch("0").values_at("file", "line") if stored
  end
end

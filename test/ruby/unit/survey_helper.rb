# frozen_string_literal: true

require_relative "helper"

# Runs the survey of `tasker-rb doctor` in a Ruby of its own, which gets the part of the
# host that it needs.
module SurveyHelper
  SCRIPT = <<~RUBY
    require "json"
    require "logger"
    require "tasker"
    module Tasker
      module Host
        @loader = HandlerLoader.new
        class << self
          attr_reader :loader
        end
      end
    end
    Tasker.logger = Logger.new($stderr, level: :warn)
    order = JSON.parse(ENV.fetch("ORDER"))
    order["requires"].each { |feature| require feature }
    require "tasker/host/survey"
    puts JSON.generate(Tasker.const_get(:Host)::Survey.run([order["dir"]], order["uses"]))
  RUBY

  Answer = Struct.new(:problems, :handlers, :files) do
    # The problems of a file, as "LINE SEVERITY: MESSAGE | HINT".
    def of(file) = problems.fetch(file, [])
  end

  # @param sources [Hash{String => String}] by path
  def write(dir, sources)
    sources.each do |path, text|
      full = File.join(dir, path)
      FileUtils.mkdir_p(File.dirname(full))
      File.binwrite(full, text)
    end
  end

  def survey(sources, requires: [], uses: [])
    Dir.mktmpdir("survey") do |dir|
      dir = File.realpath(dir)
      write(dir, sources)
      yield dir if block_given?
      order = JSON.generate(dir: dir, requires: requires, uses: uses)
      out, err, status = Open3.capture3({ "ORDER" => order, "LC_ALL" => "C.UTF-8" }, RbConfig.ruby, "-W0", "-I#{UnitHelper::LIB}", "-e", SCRIPT)
      assert status.success?, err
      answer(dir, JSON.parse(out.lines.last))
    end
  end

  def answer(dir, found)
    problems = found["problems"].group_by { |problem| problem["file"].delete_prefix("#{dir}/") }
    texts = problems.transform_values do |list|
      list.sort_by { |problem| problem["line"] }.map do |problem|
        "#{problem["line"]} #{problem["severity"]}: #{problem["message"]} | #{problem["hint"]}".gsub("#{dir}/", "")
      end
    end
    Answer.new(texts, found["handlers"], found["files"])
  end
end

Minitest::Test.include(SurveyHelper)

# frozen_string_literal: true

# Runs unit tests with the signatures of the gem checked at each call: an argument or a
# result that is not of the type that its signature says raises.
#
#   ruby -Irubyhost/ruby/lib test/ruby/signatures/run.rb FILE...

ENV["RBS_TEST_RAISE"] = "true"
require "rbs"
require "rbs/test"
require "tasker"

# Puts the checks around the methods of each class that has a signature and is loaded.
module SignatureChecks
  GEM = File.expand_path("../../../rubyhost/ruby", __dir__)
  # Loaded first, since a check is put around what is there.
  PARTS = [Tasker::DB, Tasker::Events::Subscribers::BaseSubscriber, Tasker::Execution, Tasker::SQLError, Tasker::TaskHandler, Tasker::Testing,
           Tasker::ConfiguredTask, Tasker::HandlerFactory, Tasker::IdentityStrategy, Tasker::TaskAnnotation, Tasker::Types::TaskRequest].freeze

  # The checks make objects, and lines of a backtrace. Two of these give what is refused.
  TESTS_LEFT_OUT = %w[test_an_empty_call_makes_few_objects test_task_handlers_and_domain_events_are_loaded_and_not_used
                      test_what_cannot_be_registered test_the_registry_of_publishers
                      test_what_handlers_log_and_publish test_a_subscriber_without_the_method test_a_logger_of_the_suites_gets_the_lines_too].freeze

  module_function

  # @return [Integer] how many classes and modules are checked
  def install
    RBS.logger_level = "error"
    env = environment
    tester = RBS::Test::Tester.new(env: env)
    env.class_decls.keys.select { |name| name.to_s.start_with?("::Tasker") }.count do |name|
      found = loaded(name.to_s.delete_prefix("::"))
      # A check would call what is prepended, which would call the check.
      next unless found && found.ancestors.first.equal?(found)

      tester.install!(found, sample_size: 100, unchecked_classes: [])
      true
    end
  end

  def environment
    loader = RBS::EnvironmentLoader.new
    YAML.load_file(File.join(GEM, "sig/manifest.yaml")).fetch("dependencies").each { |library| loader.add(library: library.fetch("name"), version: nil) }
    loader.add(path: Pathname(GEM).join("sig"))
    RBS::Environment.from_loader(loader).resolve_type_names
  end

  def loaded(name)
    name.split("::").inject(Object) do |space, part|
      return if space.autoload?(part) || !space.const_defined?(part, false)

      space.const_get(part, false)
    end
  end
end

ARGV.grep(%r{/compat/}).each { %w[tasker/compat/tasker_core tasker/compat/rails].each { |layer| require layer } }
checked = SignatureChecks.install
abort "signatures: only #{checked} classes are there to be checked" if checked < 30
files = ARGV.map { |file| File.expand_path(file) }
ARGV.replace(["--exclude", "/#{SignatureChecks::TESTS_LEFT_OUT.join("|")}/"])
files.each { |file| require file }

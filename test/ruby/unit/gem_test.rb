# frozen_string_literal: true

require_relative "helper"
require "rubygems/package"
require "tmpdir"

# The gem as a user installs it, in a Ruby that has nothing else of this project.
class GemTest < Minitest::Test
  parallelize_me!

  GEM = File.dirname(UnitHelper::LIB)

  def setup
    @dir = Dir.mktmpdir
    @file = File.join(@dir, "tasker-host.gem")
    run_here(RbConfig.ruby, "-S", "gem", "build", "tasker-host.gemspec", "--output", @file, chdir: GEM)
  end

  def teardown
    FileUtils.remove_entry(@dir)
  end

  def test_what_is_in_it
    files = Gem::Package.new(@file).contents

    assert_includes files, "lib/tasker-host.rb"
    assert_includes files, "sig/tasker/step.rbs"
    assert_includes files, "README.md"
    assert_empty files.grep(%r{lib/tasker/host(?:/|\.rb)})
    assert_equal File.read(File.join(GEM, "../../LICENSE")), File.read(File.join(GEM, "LICENSE"))
  end

  # What it needs is part of this Ruby, but not always as gems.
  def test_a_unit_test_of_a_handler_on_plain_ruby
    home = File.join(@dir, "home")
    run_here(RbConfig.ruby, "-S", "gem", "install", "--local", "--ignore-dependencies", "--no-document", "--install-dir", home, @file)
    script = File.join(@dir, "pay_test.rb")
    File.write(script, <<~RUBY)
      require "tasker-host"
      class Pay < Tasker::StepHandler::Base
        def process(task, sequence, step)
          raise Tasker::PermanentError.new("no card", error_code: "NO_CARD") unless task.context[:card]

          { charged: sequence.find_step_by_name("cart").results["cents"] * config[:factor] }
        end
      end
      p Tasker::Testing.run(Pay, context: { card: "tok" }, results: { cart: { cents: 5 } }, config: { factor: 2 })
      begin
        Tasker::Testing.run(Pay)
      rescue Tasker::PermanentError => e
        puts e.error_code
      end
      begin
        Tasker.db.first("SELECT 1")
      rescue Tasker::Error => e
        puts e.message
      end
      puts $LOADED_FEATURES.grep(/tasker-host/).first.delete_prefix(File.realpath(#{home.dump}))
    RUBY
    out = run_here({ "GEM_PATH" => [home, *Gem.default_path].join(":") }, RbConfig.ruby, "-w", script)

    assert_match(/\A\{"charged"=>10\}\nNO_CARD\nthere is no database outside of tasker-rb; in a unit test, [^\n]*\n#{%r{/gems/tasker-host-[\d.]+/lib/tasker}}/, out.gsub(" => ", "=>"))
  end

  private

  def run_here(*command, **options)
    out, status = Open3.capture2e(*command, **options)
    assert status.success?, out
    out
  end
end

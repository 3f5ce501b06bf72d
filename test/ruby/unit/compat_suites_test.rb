# frozen_string_literal: true

require_relative "helper"

# Runs the suites of the compatibility layers, each in a Ruby of its own: a layer that is
# loaded stays loaded.
class CompatSuitesTest < Minitest::Test
  parallelize_me!

  FILES = Dir[File.join(__dir__, "compat", "*_suite.rb")].sort

  FILES.each do |file|
    define_method(:"test_#{File.basename(file, ".rb")}") do
      out, status = Open3.capture2e(RbConfig.ruby, "-w", "-I#{UnitHelper::LIB}", file)

      assert status.success?, out
      refute_match(/warning:.*tasker/, out)
    end
  end

  def test_there_are_some
    refute_empty FILES
  end
end

# frozen_string_literal: true

require_relative "helper"
require "open3"
require "rbconfig"
require "tmpdir"

# An ActiveRecord that the adapter does not know is refused when it is loaded.
class ActiveRecordVersionTest < Minitest::Test
  LIB = File.expand_path("../../../rubyhost/ruby/lib", __dir__)

  def test_versions_before_6_1_are_refused
    Dir.mktmpdir do |dir|
      File.write(File.join(dir, "active_record.rb"), 'module ActiveRecord; def self.gem_version = Gem::Version.new("6.0.6"); end')
      code = 'begin; require "tasker/active_record"; rescue LoadError; puts $!.message; end'
      out, status = Open3.capture2e(RbConfig.ruby, "-I", dir, "-I", LIB, "-e", code)

      assert_predicate status, :success?, out
      assert_equal "tasker/active_record needs ActiveRecord 6.1 or later, and this is 6.0.6; name a newer one in the Gemfile\n", out
    end
  end
end

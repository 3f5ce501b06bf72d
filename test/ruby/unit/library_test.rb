# frozen_string_literal: true

require_relative "helper"

# In a Ruby of its own: nothing else may have loaded them.
class LibraryTest < Minitest::Test
  parallelize_me!

  def test_what_handlers_from_rails_name_without_require
    out, ok = ruby(<<~RUBY, "--disable-did_you_mean")
      require "tasker"
      abort "loaded before it is named" if $LOADED_FEATURES.grep(/securerandom|timeout/).any?
      names = Tasker.send(:const_get, :LIBRARY).keys
      names.each { |name| Object.const_get(name) }
      begin
        Timeout.timeout(0.01) { sleep }
      rescue Timeout::Error
        puts "timed out"
      end
      puts BigDecimal("1.50").to_s("F"), SecureRandom.uuid.size, Digest::SHA256.hexdigest("a")[0, 6], Set[1, 1].size,
           URI("http://a/b").path, names.size
    RUBY

    assert ok, out
    assert_equal "timed out\n1.5\n36\nca9781\n1\n/b\n12\n", out
  end

  def test_a_part_of_the_library_may_be_required_first
    %w[uri/generic uri/common erb digest/sha2 set pathname].each do |part|
      out, ok = ruby("require 'tasker'; require '#{part}'; puts URI::Generic, ERB::Util, Digest::SHA256, Set, Pathname")
      assert ok, out
    end
  end
end

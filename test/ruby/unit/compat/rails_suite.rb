# frozen_string_literal: true

require_relative "../helper"
require "fileutils"
require "tasker/compat/rails"

# What stands in for Rails.
class RailsSuite < Minitest::Test
  Cache = Tasker::Compat::RailsParts::Cache

  def setup
    @dir = Dir.mktmpdir("app")
    ENV["RAILS_ROOT"] = @dir
    ENV["RAILS_ENV"] = "test"
    Rails.cache.clear
  end

  def teardown
    FileUtils.remove_entry(@dir)
  end

  def test_the_cache_keeps_copies
    list = [1]
    assert Rails.cache.write("a", list)
    list << 2
    Rails.cache.read("a") << 3

    assert_equal [1], Rails.cache.read("a")
    assert_equal 5, Rails.cache.fetch("b") { 5 }
    assert_equal 5, Rails.cache.fetch("b") { flunk "it is there" }
    assert_equal 6, Rails.cache.fetch("b", force: true) { 6 }
    assert_nil Rails.cache.fetch("nothing")
    assert Rails.cache.exist?("b")
    assert Rails.cache.delete("b")
    refute Rails.cache.delete("b")
    assert_equal 1, Rails.cache.fetch(["x", 1, { k: 2 }]) { 1 }
    assert_equal 1, Rails.cache.read(["x", 1, { k: 2 }])
  end

  def test_nil_can_be_kept
    Rails.cache.fetch("n") { nil }
    assert_nil Rails.cache.fetch("n") { flunk "nil is there" }
    Rails.cache.fetch("m", skip_nil: true) { nil }
    refute Rails.cache.exist?("m")
  end

  def test_values_expire
    Rails.cache.write("gone", 1, expires_in: -1)
    Rails.cache.write("there", 1, expires_in: 100)
    Rails.cache.write("past", 1, expires_at: Time.now - 1)

    assert_equal [nil, 1, nil], %w[gone there past].map { |name| Rails.cache.read(name) }
  end

  def test_the_cache_is_bounded
    cache = Cache.new(capacity: 10_000)
    20.times { |i| cache.write("k#{i}", "x" * 1000) && cache.read("k0") }

    assert cache.exist?("k0"), "it was read all the time"
    assert cache.exist?("k19")
    refute cache.exist?("k1")
    refute cache.write("large", "x" * 20_000)
    assert_match(/ 8 entries, \d{4} bytes/, cache.inspect)
    20.times { cache.write("same", "x" * 1000) }
    assert_match(/ 8 entries/, cache.inspect)
  end

  def test_more_of_the_cache
    assert_equal [1, 3, 2], [Rails.cache.increment("n"), Rails.cache.increment("n", 2), Rails.cache.decrement("n")]
    Rails.cache.write_multi({ "p1" => 1, "p2" => 2 })
    assert_equal({ "p1" => 1, "p2" => 2 }, Rails.cache.read_multi("p1", "p2", "p3"))
    assert_equal({ "p1" => 1, "p3" => "p3" }, Rails.cache.fetch_multi("p1", "p3") { |name| name })
    Rails.cache.delete_matched(/\Ap/)
    refute Rails.cache.exist?("p1")
    assert_match(/does not know the option expire:/, assert_raises(ArgumentError) { Rails.cache.write("a", 1, expire: 5) }.message)
  end

  def test_many_threads_at_once
    Array.new(4) { Thread.new { 200.times { Rails.cache.increment("many") } } }.each(&:join)
    assert_equal 800, Rails.cache.read("many")
  end

  def test_config_files
    FileUtils.mkdir_p(File.join(@dir, "config"))
    File.write(File.join(@dir, "config/pay.yml"), <<~YAML)
      shared: {gateway: {name: acme, tries: 3}}
      test:
        gateway: {tries: <%= 2 + 2 %>}
        keys: [{id: 1}]
      production: {gateway: {tries: 9}}
    YAML
    pay = Rails.application.config_for(:pay)

    assert_equal ["acme", 4, 1, 4], [pay.gateway.name, pay[:gateway]["tries"], pay.keys.size && pay[:keys].first.id, pay.dig(:gateway, :tries)]
    assert_equal 9, Rails.application.config_for("pay", env: "production").gateway.tries
    assert_equal({ gateway: { name: "acme", tries: 3 } }, Rails.application.config_for(:pay, env: "other"))
    assert_match(%r{there is no config file .*/config/none\.yml}, assert_raises(RuntimeError) { Rails.application.config_for(:none) }.message)
    File.write(File.join(@dir, "config/bad.yml"), "a: [")
    assert_match(/is no YAML/, assert_raises(RuntimeError) { Rails.application.config_for(:bad) }.message)
  end

  def test_configuration
    Rails.configuration.gateway = "acme"
    Rails.application.config.x.pay.tries = 3

    assert_equal ["acme", 3], [Rails.configuration.gateway, Rails.configuration.x.pay.tries]
    assert_raises(NoMethodError) { Rails.configuration.unset }
    assert_raises(NoMethodError) { Rails.application.routes }
  end

  def test_the_time_zone_of_active_support
    ["require 'active_support/all'; require 'tasker/compat/rails'", "require 'tasker/compat/rails'; require 'active_support/all'",
     # ActiveSupport after the layer: the layer finds none.
     "module Later; def require(name) = name == 'active_support/all' && caller.grep(/rails_gems/).any? || super; end\n" \
     "Object.prepend(Later)\nrequire 'tasker/compat/rails'; require 'active_support/all'"].each do |first|
      out, ok = ruby("require 'tasker'\nbegin\n#{first}\nrescue LoadError; print 'none'; exit\nend\nprint [Time.zone.name, Time.current.class]")
      assert ok, out
      assert_includes ["none", '["UTC", ActiveSupport::TimeWithZone]'], out.lines.last
    end
  end
end

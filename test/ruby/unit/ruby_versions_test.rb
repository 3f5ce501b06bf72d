# frozen_string_literal: true

require_relative "helper"
require "tasker/execution"

class RubyVersionsTest < Minitest::Test
  VERSIONS = Tasker::RubyVersions

  def test_the_last_of_two_equal_keys_wins
    out, ok = ruby(<<~'RUBY')
      require "tasker"
      p Tasker::Document.parse('{"a": 1, "b": 0, "a": 2}').to_a
      p Tasker::RubyVersions.parse_json(Tasker::RubyVersions.generate_json({ a: 1, "a" => 2 })).to_a
    RUBY

    assert ok, out
    assert_equal %([["a", 2], ["b", 0]]\n[["a", 2]]\n), out
  end

  def test_what_every_json_reads
    assert_equal({ "a" => ["q", 1] }, VERSIONS.parse_json(%q({"a": /* one */ ["\q", 1]} // two) + "\n"))
    ["[1,]", "NaN", "01", "1.", "\"a\tb\"", %q("\ud800"), ""].each do |text|
      assert_raises(JSON::ParserError, text) { VERSIONS.parse_json(text) }
    end
  end

  def test_depth
    nested = ->(levels) { levels.times.inject(1) { |inner, _| [inner] } }

    assert_equal nested[100], VERSIONS.parse_json(VERSIONS.generate_json(nested[100]))
    assert_equal nested[1000], VERSIONS.parse_json(VERSIONS.generate_json(nested[1000], max_nesting: 1000), max_nesting: 1000)
    assert_raises(JSON::NestingError) { VERSIONS.generate_json(nested[101]) }
    assert_raises(JSON::NestingError) { VERSIONS.parse_json("#{"[" * 101}1#{"]" * 101}") }
    assert_equal nested[300], VERSIONS.parse_json("#{"[" * 300}1#{"]" * 300}", max_nesting: false)
  end

  def test_text_in_binary_encoding
    assert_equal %({"é":["é",{"a":"é"}]}), VERSIONS.generate_json({ "é".b => ["é".b, { a: "é".b }] })
    assert_equal %("é"), VERSIONS.generate_json("é".b)
    [["\xE9".b], "\xE9", { "a" => ["é".b, "\xFF".b] }, Float::NAN].each do |value|
      assert_raises(JSON::GeneratorError) { VERSIONS.generate_json(value) }
    end
  end

  def test_what_contains_itself_is_refused
    array = ["é".b]
    array << array
    hash = { a: "é".b }
    hash[:b] = [hash]

    assert_raises(JSON::NestingError, JSON::GeneratorError) { VERSIONS.generate_json(array) }
    assert_raises(JSON::NestingError, JSON::GeneratorError) { VERSIONS.generate_json(hash) }
  end

  def test_a_to_json_of_its_own
    own = Class.new { def to_json(*) = '"own"' }

    assert VERSIONS.own_to_json?(own.new)
    refute VERSIONS.own_to_json?(Object.new)
    refute VERSIONS.own_to_json?(BasicObject.new)
  end

  # Float is written in Ruby, and so is its error's first line.
  def test_an_error_begins_with_the_line_of_the_caller
    error = assert_raises(ArgumentError) { Float("x") }
    line = __LINE__ - 1

    assert error.backtrace.first.start_with?("<internal:"), error.backtrace.first
    assert Tasker::Execution.describe(error)["backtrace"].first.start_with?("#{__FILE__}:#{line}:")

    missing = assert_raises(LoadError) { require "no_such_feature_anywhere" }
    assert Tasker::Execution.describe(missing)["backtrace"].first.start_with?(__FILE__)
  end

  def test_only_the_first_lines_are_left_out
    assert_equal ["a.rb:1:in 'x'", "<internal:kernel>:1:in 'then'", "a.rb:2"],
                 VERSIONS.backtrace(["<internal:kernel>:9:in 'Integer'", "/usr/lib/ruby/3.4.0/bundled_gems.rb:82:in 'require'",
                                     "a.rb:1:in 'x'", "<internal:kernel>:1:in 'then'", "a.rb:2"])
    assert_equal ["<internal:gc>:1"], VERSIONS.backtrace(["<internal:gc>:1"])
    assert_equal [], VERSIONS.backtrace([])
    assert_equal [1, nil], VERSIONS.backtrace([1, nil])
  end

  # Every version's differences have one place.
  def test_no_other_file_compares_versions
    others = Dir[File.join(LIB, "**/*.rb")].reject { |file| file.end_with?("/ruby_versions.rb") }
    guilty = others.select { |file| File.read(file).match?(/RUBY_VERSION\s*[<>=.]|JSON::VERSION|Gem::Version|RubyVM::RUBY/) }

    assert_operator others.size, :>, 40
    assert_empty guilty
  end
end

# In Rubies of their own, with a Gemfile. Bundler then hides the gems that come with
# Ruby, and Ruby warns of those that will.
class BundledGemsTest < Minitest::Test
  parallelize_me!

  def setup
    @dir = Dir.mktmpdir
  end

  def teardown
    FileUtils.remove_entry(@dir)
  end

  def write(name, text)
    path = File.join(@dir, name)
    FileUtils.mkdir_p(File.dirname(path))
    File.write(path, text)
  end

  def gem(folder, name, version, files)
    files.each { |file, text| write("#{folder}/lib/#{file}", text) }
    write("#{folder}/#{name}.gemspec", <<~RUBY)
      Gem::Specification.new do |s|
        s.name, s.version, s.summary, s.authors = "#{name}", "#{version}", "-", ["-"]
        s.files = Dir["lib/**/*", base: __dir__]
      end
    RUBY
  end

  def with_gemfile(script, gemfile: "")
    write("Gemfile", gemfile)
    ruby(script, "-rbundler/setup", env: { "BUNDLE_GEMFILE" => File.join(@dir, "Gemfile") })
  end

  NAMED = <<~RUBY
    require "tasker"
    require "tasker/host/autoloads"
    Tasker::Host::Autoloads.resolve
    Tasker.logger.level = Logger::INFO
    puts BigDecimal("1.50").to_s("F"), Base64.strict_encode64("a"), Benchmark.realtime { 1 }.class, OpenStruct.new(a: 1).a,
         Digest::SHA256.hexdigest("a")[0, 6], Set[1, 1].size, URI("http://a/b").path, Pathname("a").to_s, Tempfile.name
  RUBY

  def test_a_gemfile_without_them
    out, ok = with_gemfile(NAMED)

    assert ok, out
    assert_equal "1.5\nYQ==\nFloat\n1\nca9781\n1\n/b\na\nTempfile\n", out
  end

  def test_without_a_gemfile
    out, ok = ruby(NAMED)

    assert ok, out
    assert_equal "1.5\nYQ==\nFloat\n1\nca9781\n1\n/b\na\nTempfile\n", out
  end

  def test_json_has_nothing_left_to_load
    out, ok = with_gemfile(<<~RUBY)
      #{NAMED}
      p JSON.constants.select { |name| JSON.autoload?(name) }
    RUBY

    assert ok, out
    assert_equal "[]", out.lines.last.chomp
  end

  def test_the_version_of_the_gemfile_wins
    gem("mine", "base64", "99.9", "base64.rb" => "module Base64; MINE = __FILE__; end")
    gem("logs", "logger", "99.9", "logger.rb" => "class Logger; MINE = __FILE__; def initialize(*, **) = nil; end")
    out, ok = with_gemfile(<<~RUBY, gemfile: %(gem "base64", path: "mine"\ngem "logger", path: "logs"\n))
      require "tasker"
      require "tasker/host/autoloads"
      Tasker::Host::Autoloads.resolve
      Tasker.logger
      puts Base64::MINE, Logger::MINE, Gem.loaded_specs["base64"].version
    RUBY

    assert ok, out
    root = File.realpath(@dir)
    assert_equal "#{root}/mine/lib/base64.rb\n#{root}/logs/lib/logger.rb\n99.9\n", out
  end

  # Outside the host, the gem names what it needs.
  def test_the_gem_of_the_api
    out, ok = with_gemfile(<<~RUBY, gemfile: %(gem "tasker-host", path: "#{File.dirname(LIB)}"\n))
      require "tasker"
      Tasker.logger.level = Logger::INFO
      puts BigDecimal("1.50").to_s("F"), Base64.strict_encode64("a"), Benchmark.realtime { 1 }.class, OpenStruct.new(a: 1).a
      p Tasker::DB.name, (%w[base64 benchmark bigdecimal logger ostruct] - Gem.loaded_specs.keys)
    RUBY

    assert ok, out
    assert_equal %(1.5\nYQ==\nFloat\n1\n"Tasker::DB"\n[]\n), out
  end

  # This gem stands for one that is no library of this Ruby any more.
  def test_a_gem_that_ruby_brings_goes_behind_all_others_and_is_not_activated
    spec = "s.summary, s.authors, s.require_paths = '-', ['-'], %w[lib more]"
    %w[1.9 1.10].each do |version|
      write("rubys/specifications/farewell-#{version}.gemspec", "Gem::Specification.new { |s| s.name, s.version = 'farewell', '#{version}'; #{spec} }")
      write("rubys/gems/farewell-#{version}/lib/farewell.rb", "require 'farewell/more'\nFAREWELL = '#{version}'\n")
      write("rubys/gems/farewell-#{version}/more/farewell/more.rb", "")
    end
    out, ok = with_gemfile(<<~RUBY)
      require "tasker/ruby_versions"
      Gem.singleton_class.remove_method(:default_specifications_dir)
      def Gem.default_specifications_dir = "#{@dir}/rubys/specifications/default"
      before = $LOAD_PATH.dup
      begin
        require "farewell"
      rescue LoadError
        puts "hidden"
      end
      Tasker::RubyVersions.library("farewell")
      Tasker::RubyVersions.library("farewell")
      added = $LOAD_PATH - before
      p FAREWELL, $LOAD_PATH.last(2) == added, added.map { |path| path.delete_prefix("#{@dir}/rubys/") }, Gem.loaded_specs.key?("farewell")
    RUBY

    assert ok, out
    assert_equal %(hidden\n"1.10"\ntrue\n["gems/farewell-1.10/lib", "gems/farewell-1.10/more"]\nfalse\n), out
  end

  def test_what_ruby_does_not_have
    out, ok = with_gemfile(<<~RUBY)
      require "tasker/ruby_versions"
      p Tasker::RubyVersions.library?("no_such_feature_anywhere")
      begin
        Tasker::RubyVersions.library("no_such_feature_anywhere")
      rescue LoadError => e
        puts e.message
      end
    RUBY

    assert ok, out
    assert_equal "false\ncannot load such file -- no_such_feature_anywhere\n", out
  end

  # Ruby's own warning stays for what the user requires.
  def test_the_users_own_require_is_not_silenced
    out, ok = with_gemfile(<<~RUBY)
      require "tasker/ruby_versions"
      Tasker::RubyVersions.library?("base64")
      warned = defined?(Gem::BUNDLED_GEMS::WARNED) ? Gem::BUNDLED_GEMS::WARNED : {}
      p warned.key?("base64")
    RUBY

    assert ok, out
    assert_equal "false\n", out
  end
end

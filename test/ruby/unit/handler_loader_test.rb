# frozen_string_literal: true

require_relative "helper"

class HandlerLoaderTest < Minitest::Test
  Registry = Tasker::HandlerLoader::Registry

  # What these tests load stays loaded, so each test has a module of its own.
  @@serial = 0

  def setup
    @named = Registry.remember
    @space = "LoaderSpace#{@@serial += 1}"
    @dir = File.realpath(Dir.mktmpdir("handlers"))
    @loader = Tasker::HandlerLoader.new
    @load_path = $LOAD_PATH.dup
  end

  def teardown
    Registry.restore(@named)
    $LOAD_PATH.replace(@load_path)
    FileUtils.remove_entry(@dir)
  end

  def write(path, text)
    full = File.join(@dir, path)
    FileUtils.mkdir_p(File.dirname(full))
    File.write(full, text.gsub("SPACE", @space))
    full
  end

  HANDLER = "module SPACE\n  class %s < %s\n    def process(*) = :done\n  end\nend\n"

  def write_handler(path, name, base = "Tasker::StepHandler::Base")
    write(path, format(HANDLER, name, base))
  end

  def refused
    assert_raises(Tasker::HandlerError) { @loader.load_dir(@dir) }.message
  end

  def test_files_load_in_whatever_order_works
    write_handler("a_first.rb", "First", "Middle")
    write_handler("b/middle.rb", "Middle", "Zlast")
    write_handler("c/deep/zlast.rb", "Zlast")

    out, err = capture_io { assert_equal 3, @loader.load_dir(@dir).size }

    assert_equal ["", ""], [out, err]
    first = @loader.resolve("#{@space}::First")
    assert_equal :done, first.new.process
    assert_equal "#{@space}::Zlast", first.superclass.superclass.name
    assert_same first, @loader.resolve("::#{@space}::First")
  end

  def test_files_that_cannot_be_loaded_do_not_keep_the_others_out
    bad = write("a_bad.rb", "raise 'mine'\n")
    waits = write("b_waits.rb", "\nclass SPACEWaits < SPACEMissing; end\n")
    write_handler("c_good.rb", "Good")

    files, failures = @loader.load_each(@dir)

    assert_equal 3, files.size
    assert_equal([[bad, "#{bad}:1"], [waits, "#{waits}:2"]], failures.map { |failure| [failure.file, failure.place] })
    assert_equal :done, @loader.resolve("#{@space}::Good").new.process
  end

  # The message names the first; those that wait may wait for what it defines.
  def test_all_files_that_cannot_be_loaded_are_remembered
    waits = write("a_waits.rb", "class SPACEWaits < SPACEBase; end\n")
    bad = write("b_bad.rb", "raise 'mine'\n")
    broken = write("c_broken.rb", "class SPACEBase\n  def x(\nend\n")

    assert_equal "#{bad}:1: RuntimeError: mine", refused
    assert_equal [bad, broken, waits], @loader.failures.map(&:file)
    assert_equal [nil, nil, true], @loader.failures.map(&:waits)
  end

  def test_a_pipe_is_no_file_of_handlers
    pay = write_handler("pay.rb", "Pay")
    File.mkfifo(File.join(@dir, "pipe.rb"))

    assert_equal [pay], @loader.load_dir(@dir)
  end

  def test_postponed_files_are_loaded_when_a_class_is_looked_for
    write_handler("a.rb", "A", "B")
    write_handler("b.rb", "B")

    assert_equal 2, @loader.postpone(@dir).size
    assert_includes $LOAD_PATH, @dir
    refute Object.const_defined?(@space)
    assert_equal "#{@space}::A", @loader.resolve("#{@space}::A").name
    refute @loader.load_postponed
  end

  def test_postponed_files_that_do_not_load_are_tried_again
    write("a.rb", "module SPACE\n  class A < Missing; end\nend\n")
    @loader.postpone(@dir)

    2.times { assert_match "uninitialized constant #{@space}::Missing", assert_raises(Tasker::HandlerError) { @loader.load_postponed }.message }
    write_handler("b.rb", "Missing")
    load File.join(@dir, "b.rb")

    assert @loader.load_postponed
    assert_raises(Tasker::HandlerError) { @loader.postpone(File.join(@dir, "nowhere")) }
  end

  def test_a_second_run_of_a_file_is_quiet
    write("a.rb", "module SPACE\n  LIMIT = 1\n  class A < B; end\nend\n")
    write_handler("b.rb", "B")

    assert_equal ["", ""], capture_io { @loader.load_dir(@dir) }
    assert Object.const_get(@space)::A
  end

  def test_each_file_is_loaded_once
    write("count.rb", "module SPACE\n  def self.loads = @loads\n  @loads = (@loads || 0) + 1\nend\n")
    write("needs.rb", "require_relative 'count'\nrequire 'count'\n")
    2.times { @loader.load_dir(@dir) }

    assert_equal 1, Object.const_get(@space).loads
    assert_equal [@dir], @loader.folders
    assert_includes $LOAD_PATH, @dir
  end

  def test_the_folders_are_a_copy
    write_handler("a.rb", "A")
    @loader.load_dir(@dir)
    @loader.folders.clear

    assert_equal [@dir], @loader.folders
  end

  def test_folders_that_need_each_other
    write_handler("one/a.rb", "A", "B")
    write_handler("two/b.rb", "B")
    @loader.load_dir(File.join(@dir, "one"), File.join(@dir, "two"))

    assert @loader.resolve("#{@space}::A")
  end

  def test_a_file_that_a_required_one_needs
    write("a.rb", "require_relative 'b'\n")
    write("b.rb", "module SPACE\n  class B < C; end\nend\n")
    write_handler("c.rb", "C")
    @loader.load_dir(@dir)

    assert @loader.resolve("#{@space}::B")
  end

  def test_a_constant_that_nothing_defines
    write("bad.rb", "module SPACE\n  class Bad < Nowhere; end\nend\n")
    write_handler("good.rb", "Good")

    assert_equal "#{@dir}/bad.rb:2: uninitialized constant #{@space}::Nowhere", refused
  end

  def test_all_missing_constants_are_told
    write("one.rb", "module SPACE\n  One = Nowhere\nend\n")
    write("two.rb", "module SPACE\n\n  Two = Nothing\nend\n")
    message = refused

    assert_match(/\A2 files need constants that nothing defines:/, message)
    assert_includes message, "#{@dir}/one.rb:2: uninitialized constant #{@space}::Nowhere"
    assert_includes message, "#{@dir}/two.rb:3: uninitialized constant #{@space}::Nothing"
  end

  def test_a_constant_that_many_files_need_is_told_once
    %w[one two three].each { |name| write("#{name}.rb", "\nclass SPACE#{name} < TaskerCore::StepHandler::Base; end\n") }
    write("other.rb", "module SPACE\n  One = Nowhere\nend\n")
    message = refused

    assert_match(/\A4 files need constants that nothing defines:/, message)
    assert_equal 1, message.scan(%r{require "tasker/compat/tasker_core"}).size
    assert_includes message, "#{@dir}/one.rb:2: uninitialized constant TaskerCore; require"
    assert_includes message, "\n    #{@dir}/three.rb:2 too\n    #{@dir}/two.rb:2 too"
    assert_includes message, "#{@dir}/other.rb:2: uninitialized constant #{@space}::Nowhere"
  end

  def test_hints_at_load
    {
      "Rails.logger" => %r{/bad\.rb:1: uninitialized constant Rails; require "tasker/compat/rails"},
      "X1 = 3.days" => %r{/bad\.rb:1: undefined method .*days.*active_support/all},
      "require 'tasker_core'" => %r{/bad\.rb:1: LoadError: cannot load such file -- tasker_core; require "tasker/compat/tasker_core"}
    }.each do |text, expected|
      write("bad.rb", text)
      assert_match expected, refused
    end
  end

  def test_an_anonymous_argument
    write("bad.rb", "module SPACE\n  def self.a(**) = b(1, **)\n  def self.b(*) = 1\nend\n")
    return @loader.load_dir(@dir) if RUBY_VERSION >= "3.2"

    capture_io do # Ruby warns of the indentation, which it cannot follow
      assert_match(%r{/bad\.rb:2: syntax error.*an anonymous \* or \*\* as an argument needs Ruby 3\.2, and this is 3\.1}m, refused)
    end
  end

  def test_a_feature_that_fails
    inner = write("inner.rb", "module SPACE; end\n\nraise 'boom'\n")
    outer = write("outer.rb", "require_relative 'inner'\n")
    failing = ->(feature) { assert_raises(Tasker::HandlerError) { @loader.require_feature(feature) }.message }

    assert_equal "#{inner}:3: RuntimeError: boom", failing.call(outer)
    write("inner.rb", "\nRails.logger\n")
    assert_match(%r{\A#{inner}:2: uninitialized constant Rails; require "tasker/compat/rails"}, failing.call(outer))
    write("inner.rb", "require 'json'\nJSON.parse('{')\n")
    assert_match(/\A#{inner}:2: JSON::ParserError: /, failing.call(outer))
    write("inner.rb", "require 'not_there'\n")
    assert_match(/\A#{inner}:1: LoadError: cannot load such file -- not_there/, failing.call(outer))
    write("inner.rb", "def x(\n")
    assert_match(/\A#{inner}:\d+: /, failing.call(outer))
    assert_equal "not_there", assert_raises(LoadError) { @loader.require_feature("not_there") }.path
    assert_raises(LoadError) { @loader.require_feature("./not_there.rb") }
    write("inner.rb", "SPACE_FINE = 1\n")
    assert @loader.require_feature(outer)
  end

  def test_a_circle_that_can_be_undone
    write("a.rb", "module SPACE\n  A1 = 1\n  A2 = B1\nend\n")
    write("b.rb", "module SPACE\n  B1 = A1\n  B2 = A2\nend\n")
    @loader.load_dir(@dir)

    assert_equal 1, Object.const_get(@space)::B2
  end

  def test_a_class_that_is_defined_twice_with_different_superclasses
    first = write("a.rb", "module SPACE\n  module Deep\n    class Twice; end\n  end\nend\n")
    second = write("b.rb", "module SPACE\n  module Deep\n    class Twice < String; end\n  end\nend\n")

    assert_equal "#{second}:3: TypeError: superclass mismatch for class Twice; it was defined at #{first}:3", refused
  end

  def test_a_module_that_is_also_a_class
    first = write("a.rb", "module SPACE\n  Kind = Class.new\nend\n")
    second = write("b.rb", "module SPACE\n  module Kind; end\nend\n")

    assert_match(/\A#{second}:2: TypeError: (\S+::)?Kind is not a module; it was defined at #{first}:2\z/, refused)
  end

  def test_a_class_of_a_new_superclass_in_a_file_that_is_run_twice
    file = write("a.rb", "module SPACE\n  class Money < Struct.new(:cents); end\n  class A < B; end\nend\n")
    write_handler("b.rb", "B")

    assert_equal "#{file}:2: TypeError: superclass mismatch for class Money; the file was run twice, " \
                 "because it needs B, which a later one defines: require that one at its top", refused
  end

  def test_a_syntax_error
    write("a.rb", "module SPACE\nend\n")
    bad = write("bad.rb", "class X\n  def process(\nend\n")

    assert_match(/\A#{Regexp.escape(bad)}:3: /, refused)
  end

  def test_other_failures_have_their_place
    write("lib/deep.rb", "module SPACE\n  def self.boom = raise('deep trouble')\nend\n")
    write("uses.rb", "require_relative 'lib/deep'\nSPACE.boom\n")

    assert_equal "#{@dir}/lib/deep.rb:2: RuntimeError: deep trouble", refused
  end

  def test_files_that_raise_other_things
    {
      "exit" => /:1: the file called exit/,
      "require 'no_such_gem_anywhere'" => /:1: LoadError: cannot load such file -- no_such_gem_anywhere/,
      "nil.upcase" => /:1: undefined method `?'?upcase'/,
      "unknown_name" => /:1: undefined local variable or method/,
      "def f = f\nf" => /:1: SystemStackError: stack level too deep/,
      "\nraise Exception, 'odd'" => /bad.rb:2: Exception: odd/,
      "raise SecurityError, 'no'" => /bad.rb:1: SecurityError: no/,
      "Mute = Class.new(StandardError) { def message = raise }\nraise Mute" => /bad.rb:2: Mute: \(its message cannot be had\)/
    }.each do |text, expected|
      write("bad.rb", text)
      assert_match expected, refused
    end
  end

  def test_folders_that_are_none
    assert_match(/there is no folder/, assert_raises(Tasker::HandlerError) { @loader.load_dir("#{@dir}/nope") }.message)
    file = write("file.rb", "")
    assert_match(/is not a folder/, assert_raises(Tasker::HandlerError) { @loader.load_dir(file) }.message)
    Dir.mktmpdir { |empty| assert_equal [], @loader.load_dir(empty) }
  end

  def unresolved(name)
    assert_raises(Tasker::HandlerError) { @loader.resolve(name) }.message
  end

  def test_a_class_that_is_not_there
    write_handler("charge_payment.rb", "ChargePayment")
    @loader.load_dir(@dir)

    assert_includes unresolved("#{@space}::ChargePaymnet"),
                    "there is no class #{@space}::ChargePaymnet; it was expected in " \
                    "#{@dir}/loader_space#{@@serial}/charge_paymnet.rb; did you mean #{@space}::ChargePayment"
    assert_match(/did you mean #{@space}::ChargePayment/, unresolved("ChargePayment"))
    refute_match(/did you mean/, unresolved("#{@space}::Notify"), "the same namespace is not near enough")
    assert_match(%r{expected in .*/http_client/v2_sync\.rb}, unresolved("HTTPClient::V2Sync"))
  end

  def test_a_file_that_does_not_define_its_class
    file = write("pay/charge_card.rb", "module SPACE\nend\n")
    @loader.load_dir(@dir)

    assert_includes unresolved("Pay::ChargeCard"), "#{file} was loaded, but does not define it"
  end

  def test_names_that_are_no_classes
    assert_match(/"charge" is not a class name/, unresolved("charge"))
    assert_match(/is not a class name/, unresolved(""))
    assert_match(/is not a class name/, unresolved("A::"))
    assert_match(/Kernel is a Module, not a class/, unresolved("Kernel"))
    assert_match(/there is no class Tasker::String/, unresolved("Tasker::String"))
    assert_match(/there is no class RUBY_VERSION::X/, unresolved("RUBY_VERSION::X"))
  end

  def test_an_autoloaded_class_whose_file_fails_is_not_called_missing
    write("auto/broken.rb", "module SPACE\n  class Broken < NoSuchBase; end\nend\n")
    Object.const_set(@space, Module.new).autoload(:Broken, File.join(@dir, "auto/broken.rb"))

    error = assert_raises(NameError) { @loader.resolve("#{@space}::Broken") }
    assert_match(/NoSuchBase/, error.message)
  end

  def test_a_handler_with_a_name_of_its_own
    one = handler { def process(*) = 1 }
    Registry.register("shop.validate_cart", one, "a.rb:1")
    Registry.register(:pay, one, "a.rb:2")

    assert_same one, @loader.resolve("shop.validate_cart")
    assert_same one, @loader.resolve("pay")
    assert_raises(Tasker::HandlerNotFound) { @loader.resolve("shop.validate_card") }
    assert_match(/no step_handler of this name is loaded; did you mean "shop.validate_cart"\?/, unresolved("shop.validate_card"))
    assert_match(/did you mean "shop.validate_cart"\?/, unresolved("validate_cart"))
    refute_match(/did you mean/, unresolved("ship_order"))
    assert_equal "a.rb:1", Registry.place_of(one)
  end

  def test_a_handler_that_is_defined_twice
    one, other, third = Array.new(3) { handler { def process(*) = 1 } }
    text = logged do
      Registry.register("twice", one, "a.rb:1")
      Registry.register("twice", other, "a.rb:1")
      Registry.register("again", one, "a.rb:5")
      Registry.register("twice", third, "b.rb:2")
    end

    assert_match(/b\.rb:2: the handler "twice" is defined here, and at a\.rb:1 too/, text)
    assert_equal 1, text.lines.size, text
    assert_match(/defined more than once, at a\.rb:1 and at b\.rb:2/, unresolved("twice"))
    assert_same one, @loader.resolve("again")
  end

  def test_no_hook_is_left_behind
    before = Module.instance_method(:const_missing)
    write_handler("a.rb", "A", "B")
    write_handler("b.rb", "B")
    @loader.load_dir(@dir)

    assert_equal before, Module.instance_method(:const_missing)
  end
end

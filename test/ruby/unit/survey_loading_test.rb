# frozen_string_literal: true

require_relative "survey_helper"

# What `tasker-rb doctor` says of files and classes.
class SurveyLoadingTest < Minitest::Test
  BASE = "Tasker::StepHandler::Base"

  def test_every_file_that_cannot_be_loaded_is_named
    found = survey({
                     "syntax.rb" => "class S\n  def x(\nend\n", "raises.rb" => "\nraise ArgumentError, 'no key'\n", "exits.rb" => "exit\n", "odd.rb" => "raise Exception, 'odd'\n",
                     "mute.rb" => "raise Class.new(StandardError) { def message = raise }\n",
                     "gem1.rb" => "require 'no_such_gem'\n", "gem2.rb" => "\nrequire 'no_such_gem'\n", "path.rb" => "require_relative 'helper/foo'\n", "kind.rb" => "class String2\nend\nmodule String2\nend\n",
                     "fine.rb" => "class Fine < #{BASE}\n  def process(*) = 1\nend\n"
                   })
    assert_match(/\A\d+ error: .*syntax.* \| Correct the file/m, found.of("syntax.rb").first)
    assert_equal ["2 error: ArgumentError: no key | Correct the file, or load what it needs with --handlers DIR or --require FILE."], found.of("raises.rb")
    assert_equal ["1 error: the file called exit | A handler file may only define things; take the exit out."], found.of("exits.rb")
    assert_match(/\A1 error: Exception: odd/, found.of("odd.rb").join)
    assert_match(/\A1 error: .*\(its message cannot be had\)/, found.of("mute.rb").join)
    assert_match(/\A1 error: cannot load such file -- no_such_gem; gem2\.rb:2 needs it too \| Install the gem/, found.of("gem1.rb").first)
    assert_equal [], found.of("gem2.rb")
    assert_match(%r{\A1 error: cannot load such file -- helper/foo \| Correct the path}, found.of("path.rb").first)
    assert_match(/\A3 error: TypeError: String2 is not a module; it was defined at kind\.rb:1 \|/, found.of("kind.rb").first)
    assert_equal [[], 1, 10], [found.of("fine.rb"), found.handlers, found.files]
  end

  # The messages of Ruby 3.1 and 3.4.
  MESSAGES = {
    "a.rb:3: syntax error, unexpected `end', expecting ')'\n  end\n  ^~~\na.rb:6: syntax error, unexpected end-of-input\n" =>
      [["a.rb", 3, "syntax error, unexpected `end', expecting ')'"], ["a.rb", 6, "syntax error, unexpected end-of-input"]],
    "a.rb:3: syntax errors found\n  1 | class S\n  2 |   def x(\n> 3 |   end\n    |   ^~~ unexpected 'end'; expected a `)`\n    |   ^~~ unexpected 'end'\n" \
    "  4 | x\n> 5 |   foo = [1, 2\n    |             ^ expected a `]`\n" =>
      [["a.rb", 3, "syntax error: unexpected 'end'; expected a `)`"], ["a.rb", 3, "syntax error: unexpected 'end'"], ["a.rb", 5, "syntax error: expected a `]`"]],
    "something else\nmore" => [["given.rb", 0, "something else"]]
  }.freeze

  def test_the_messages_of_syntax_errors
    script = "require 'json'; require 'tasker/host/survey/syntax'; puts JSON.generate(#{MESSAGES.keys.inspect}.map { |text| " \
             "Tasker::Host::Survey::Syntax.errors(text, 'given.rb') })"
    out, done = ruby(script)
    assert done, out
    assert_equal MESSAGES.values, JSON.parse(out)
  end

  # Ruby 3.2 and later take it.
  def test_an_anonymous_argument_has_its_hint
    found = survey({ "a.rb" => "def f(**) = 1\n\ndef g(**) = f(**)\n" })
    return assert_empty(found.of("a.rb")) if RUBY_VERSION >= "3.2"

    assert_match(/\A3 error: .* \| an anonymous \* or \*\* as an argument needs Ruby 3\.2, and this is 3\.1/, found.of("a.rb").last)
  end

  def test_a_missing_constant_is_said_once_with_all_that_need_it
    found = survey({
                     "a.rb" => "module Shop\n  class A < Missing::Base\n  end\nend\n", "b.rb" => "module Shop\n\n  class B < Missing::Base\n  end\nend\n",
                     "c.rb" => "class C < #{BASE}\n  def process(*) = Missing.x\nend\n", "z/broken.rb" => "module Shop\n  class Kept\n    def x(\n  end\nend\n",
                     "d.rb" => "module Shop\n  class D < Kept\n  end\nend\n"
                   })
    assert_equal 1, found.of("a.rb").size
    assert_match(/\A2 error: uninitialized constant Missing; b\.rb:3 needs it too \|/, found.of("a.rb").first)
    assert_equal ["2 error: uninitialized constant Shop::Kept | It is defined at z/broken.rb:2, in a file that cannot be loaded; correct that one."],
                 found.of("d.rb")
    assert_equal [[], []], [found.of("b.rb"), found.of("c.rb")]
  end

  # source of a class X, and what is said of it.
  CLASSES = {
    "class X < BASE\n  def process(task, sequence, step) = 1\nend" => nil,
    "class X < BASE\n  def handle(task, sequence, step) = 1\nend" => nil,
    "class X < BASE\nend" => /\A1 error: X does not say what process\(task, sequence, step\) does \|/,
    "class X < BASE\n  def proces(*) = 1\nend" => /\A1 error: X has no public method process\(task, sequence, step\) \| Did you mean proces\?/,
    "class X < BASE\n  private def process(*) = 1\nend" => /\A1 error: X has no public method .* \| The one it has is not public/,
    "class X < BASE\n\n  def process(task) = 1\nend" => /\A3 error: X#process has to take 3 arguments, task, sequence and step, not 1/,
    "class X < BASE\n  def initialize(a, b) = super()\n  def process(*) = 1\nend" => /error: X/,
    "class X < BASE\nend\nclass XChild < X\n  def process(*) = 1\nend" => nil,
    "class X < BASE\n  def refund(task, sequence, step) = 1\nend" => /\A1 warning: X has no method process: a template has to name the method \(refund\)/,
    "class X\n  def process(task) = 1\nend" => /\A2 warning: X#process has to take 3 arguments/,
    "class X\n  def process(amount) = 1\nend" => nil,
    "class X\n  def process(a, b) = 1\nend" => /\A2 warning: X#process has to take 3 arguments, task, sequence and step, not 2/,
    "class X\n  def process(a, b, c, d) = X.name\nend" => /\A2 warning: X#process has to take 3 arguments/,
    "class X\n  def process(a, b:, c:) = 1\nend" => nil,
    "class X\n  def call(a, b) = 1\nend" => nil,
    "class X\n  def process(a, b) = 1\nend\nmodule XUser\n  def self.use = X.new.process(1, 2)\nend" => nil,
    "class X\n  def process(a, b) = 1\nend\nclass XChild < X\n  def process(task, sequence, step) = 1\nend" => nil,
    "class X\n  def process(task, sequence, step) = 1\nend" => nil,
    "class X\n  include Tasker::TaskHandler\nend" => nil,
    "module X\n  def self.process(task) = 1\nend" => nil
  }.freeze

  def test_classes_that_cannot_run_steps
    sources = CLASSES.keys.each_with_index.to_h { |text, index| ["x#{index}.rb", "#{text.gsub("BASE", BASE).gsub(/\bX/, "X#{index}_")}\n"] }
    found = survey(sources)
    CLASSES.values.each_with_index do |pattern, index|
      texts = found.of("x#{index}.rb").map { |text| text.gsub("X#{index}_", "X") }
      pattern ? assert_match(pattern, texts.join("\n"), sources["x#{index}.rb"]) : assert_equal([], texts, sources["x#{index}.rb"])
    end
  end

  # A class that other code calls is a helper, whatever its process takes. The file that calls
  # it may be one that cannot be loaded.
  def test_helpers_are_no_handlers
    source = { "helper.rb" => "module Shop\n  class Sums\n    def process(a, b) = a + b\n  end\nend\n" }
    assert_equal 1, survey(source).then { |found| found.of("helper.rb").size + found.handlers - 1 }
    source["broken.rb"] = "module Shop\n  class Pay < Missing::Base\n    def sum = Sums.new.process(1, 2)\n  end\nend\n"
    assert_equal [[], 0], survey(source).then { |found| [found.of("helper.rb"), found.handlers] }
    assert_equal [[], 1], survey({ "three.rb" => "class Three\n  def process(a, b, c) = 1\nend\n" }).then { |found| [found.of("three.rb"), found.handlers] }
  end

  def test_a_method_that_a_template_names
    source = { "x.rb" => "class X < #{BASE}\n  def refund(task, sequence, step) = 1\nend\n" }
    assert_equal [[], 1], survey(source, uses: ["X#refund"]).then { |found| [found.of("x.rb"), found.handlers] }
  end

  def test_two_files_with_one_class
    pay = "module Shop\n  class Pay < #{BASE}\n    def process(*) = 1\n\n    def fee = 1\n\n    class << self\n      def rate = 1\n    end\n  end\nend\n"
    found = survey({
                     "v1/pay.rb" => pay, "v2/pay.rb" => pay, "more.rb" => "class Shop::Pay < #{BASE}\n  def tax = 1\nend\n",
                     "again.rb" => "class Twice\n  def a = 1\nend\nclass Twice\n  def a = 2\nend\n", "old.rb" => "def helper = 1\n", "new.rb" => "def helper = 2\n",
                     "one.rb" => "A1 = Struct.new(:a) do\n  def total = 1\nend\n", "two.rb" => "A2 = Struct.new(:a) do\n  def total = 1\nend\n",
                     "if.rb" => "class Shop::Pay < #{BASE}\n  def fee = 2 unless method_defined?(:fee)\nend\n"
                   })
    assert_equal ["2 warning: Shop::Pay is defined at v1/pay.rb:2 too, and both define process (v1/pay.rb:3) and 2 more; the file that is loaded last wins | " \
                  "Give each class a name of its own, or take one of the files out."], found.of("v2/pay.rb")
    assert_match(/\A1 warning: the method helper is defined at new\.rb:1 too, for all objects/, found.of("old.rb").first)
    assert_equal(%w[old.rb v2/pay.rb], found.problems.keys.sort)
  end

  def test_files_that_are_hostile
    found = survey({
                     "bom.rb" => "\xEF\xBB\xBFclass Bom < #{BASE}\r\n  def process(task, *)\r\n    exit\r\n  end\r\nend\r\n",
                     "latin.rb" => "# encoding: iso-8859-1\nclass Latin < #{BASE}\n  def process(*)\n    \"\xE9\"\n    exit\n  end\nend\n".b,
                     "bytes.rb" => "\xFF\xFE\x00\x01".b, "empty.rb" => "", "deep.rb" => "X = #{"[" * 5_000}#{"]" * 5_000}\n", "not.rb/x.txt" => "",
                     "new\nline.rb" => "class Nl < #{BASE}\n  def process(*)\n    exit\n  end\nend\n",
                     "\xFFnot utf8.rb".b => "class Odd < #{BASE}\n  def process(*)\n    exit\n  end\nend\n",
                     "end.rb" => "class Ends < #{BASE}\n  def process(*) = 1\nend\n__END__\nclass \xFF".b
                   }) do |dir|
      File.symlink(dir, File.join(dir, "loop"))
      File.symlink("self.rb", File.join(dir, "self.rb"))
      File.symlink("nowhere", File.join(dir, "dangling.rb"))
    end
    exits = found.problems.transform_values { |texts| texts.map { |text| text[/\A\d+ error: exit fails/] }.compact }.reject { |_, texts| texts.empty? }
    assert_equal({ "bom.rb" => ["3 error: exit fails"], "latin.rb" => ["5 error: exit fails"], "new\nline.rb" => ["3 error: exit fails"],
                   "\u{FFFD}not utf8.rb" => ["3 error: exit fails"] }, exits)
    assert_match(/error: /, found.of("bytes.rb").first)
    assert_match(/There is no file at the end of this link/, found.of("self.rb").first)
    assert_match(/There is no file at the end of this link/, found.of("dangling.rb").first)
    assert_match(/Only files may end in \.rb/, found.of("not.rb").first)
    assert_equal [[], 11], [found.of("empty.rb") + found.of("end.rb"), found.files]
  end

  def test_files_that_change_ruby
    Dir.mktmpdir do |dir|
      File.write(File.join(dir, "a.rb"), "class Array\n  def map(*) = raise('mine')\nend\n")
      out, = Open3.capture2e({ "ORDER" => JSON.generate(dir: dir, requires: [], uses: []) }, RbConfig.ruby, "-W0", "-I#{LIB}", "-e", SurveyHelper::SCRIPT)
      assert_match(%r{the files change Ruby so much that they cannot be examined: RuntimeError: mine \(.*/a\.rb:2}, out)
    end
  end
end

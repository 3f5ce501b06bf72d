# frozen_string_literal: true

require_relative "memory_scenario"

# Handlers' classes override what every object has. None of it is called.
class MemoryHostileTest < Minitest::Test
  parallelize_me!
  include MemoryScenario

  OVERRIDDEN = %i[class hash == eql? equal? inspect to_s object_id __id__ respond_to? instance_variables instance_variable_get
                  singleton_class frozen? is_a? kind_of? instance_of? nil? size each method_missing === !].freeze

  def source(overriding)
    <<~RUBY
      $called = []
      module Hostile
        #{OVERRIDDEN.inspect}.each do |name|
          define_method(name) { |*| $called << name unless $quiet; raise "\#{name} was called" }
        end
      end
      #{overriding}
      at_exit { abort "called: \#{$called.uniq}" if $called.any? }
    RUBY
  end

  def test_objects_that_override_everything
    found(source(<<~'RUBY')) do |found|
      $VERBOSE = nil
      class Odd
        include Hostile
        def initialize(value) = @value = value
        Hostile.instance_methods.each { |name| define_method(name, Hostile.instance_method(name)) }
      end
      module Tasks
        ODD = []
        def self.run(number) = ODD << Odd.new([number.to_s]) # here
      end
    RUBY
      assert_lines(found, allocated: "here", stored: "here")
      assert_equal ["Odd", "Odd"], found.first.values_at("class", "example")
    end
  end

  def test_basic_objects_hold_and_are_held
    found(source(<<~'RUBY')) do |found|
      class Bare < BasicObject
        def initialize(value) = @value = value
        def method_missing(name, *) = ($called << name; ::Kernel.raise("called"))
        def respond_to_missing?(*) = true
      end
      module Tasks
        BARE = Bare.new(LIST = [])
        Object.send(:remove_const, :LIST) if Object.const_defined?(:LIST)
        remove_const(:LIST)
        HOLDS = LIST_ = nil
        def self.run(number) = BARE.instance_eval { @value << Bare.new(number.to_s) } # here
      end
    RUBY
      assert_lines(found, allocated: "here", stored: "here")
      assert_equal ["constant Tasks::BARE", "instance_variable @value", "element [249]"], found.way
    end
  end

  def test_collections_that_override_their_methods
    found(source(<<~'RUBY')) do |found|
      $VERBOSE = nil
      class OddHash < Hash
        (Hostile.instance_methods - [:==]).each { |name| define_method(name, Hostile.instance_method(name)) }
        def each_pair = raise("called")
        def keys = raise("called")
      end
      module Tasks
        ODD = OddHash.new
        def self.run(number) = ODD[number] = number.to_s # here
      end
    RUBY
      assert_lines(found, allocated: "here", stored: "here")
      assert_equal ["constant Tasks::ODD", "element [250]"], found.way
    end
  end

  def test_modules_that_override_their_methods
    found(source(<<~'RUBY')) do |found|
      $VERBOSE = nil
      module Tasks
        LIST = []
        def self.run(number) = LIST << number.to_s # here
        class << self
          %i[name to_s inspect constants const_get const_defined? const_missing const_source_location autoload? class_variables
             class_variable_get instance_methods instance_method hash == equal? class instance_variables object_id].each do |method|
            define_method(method) { |*| $called << method; raise "#{method} was called" }
          end
        end
      end
    RUBY
      assert_lines(found, allocated: "here", stored: "here")
      assert_equal ["constant Tasks::LIST", "element [249]"], found.way
    end
  end

  # The file of the autoload is not there: to load it would raise.
  def test_constants_that_have_effects
    found(<<~'RUBY') do |found|
      Warning[:deprecated] = true
      module Tasks
        autoload :Absent, "/no/such/file"
        A = 1
        OLD = []
        deprecate_constant :OLD
        deprecate_constant :A
        list = OLD_LIST = []
        deprecate_constant :OLD_LIST
        define_singleton_method(:run) { |number| list << number.to_s } # here
        def self.const_missing(name) = raise("const_missing #{name}")
        freeze
      end
    RUBY
      assert_lines(found, allocated: "here", stored: "here")
      assert_equal ["constant Tasks::OLD_LIST", "element [249]"], found.way
    end
  end

  def test_classes_without_a_name
    found(<<~'RUBY') do |found|
      module Tasks
        BASE = Class.new(StandardError)
        private_constant :BASE
        CLASSES = []
        def self.run(_) = CLASSES << Class.new(BASE) { def to_s = raise } # here
      end
    RUBY
      assert_lines(found, stored: "here")
      assert_equal 1, found.suspects.size
      assert_equal "Class", found.first["class"]
    end
  end

  def test_a_frozen_list_has_no_spy
    found(<<~'RUBY') do |found|
      module Tasks
        @list = [].freeze
        def self.run(number) = @list = [*@list, number.to_s].freeze # here
      end
    RUBY
      assert_lines(found, allocated: "here")
      assert_empty found.stores
      assert_equal ["constant Tasks", "instance_variable @list", "element [249]"], found.way
    end
  end

  def test_text_that_is_none
    found(<<~'RUBY') do |found|
      module Tasks
        LIST = {}
        def self.run(number) = LIST["\xFF\x00é#{number}".b] = "\xE9#{number}".dup.force_encoding("UTF-16LE") # here
      end
    RUBY
      assert_lines(found, allocated: "here", stored: "here")
      assert_equal 1, found.suspects.size
    end
  end

  def test_collections_that_were_not_initialized
    found(<<~'RUBY') do |found|
      require "set"
      module Tasks
        ODD = [Set.allocate, Thread::Queue.allocate, Thread::SizedQueue.new(9), Hash.allocate, Class.allocate, StandardError.allocate]
        def self.run(number) = ODD << number.to_s # here
      end
    RUBY
      assert_lines(found, allocated: "here", stored: "here")
    end
  end
end

# frozen_string_literal: true

require_relative "memory_scenario"

# Each kind of leak: one suspect, its line and the way to it.
class MemoryLeaksTest < Minitest::Test
  parallelize_me!
  include MemoryScenario

  def assert_leak(source, class_name, way, kind: "objects", count: 1000, **lines)
    found(source) do |found|
      assert_equal 1, found.suspects.size, -> { found.suspects.map { |s| s.slice("class", "allocated", "path") }.inspect }
      assert_equal [kind, class_name, count, true], found.first.values_at("kind", "class", "count", "own")
      assert_equal way, found.way if way
      assert_operator found.first["bytes"], :>, kind == "objects" ? 39 : 7
      assert_lines(found, **lines)
      yield found if block_given?
    end
  end

  def test_strings_in_a_constant
    assert_leak(<<~'RUBY', "String", ["constant Tasks::SEEN", "element [249]"], allocated: "allocated", stored: "stored") do |found|
      module Tasks
        SEEN = [] # held
        def self.run(number)
          text = "order number #{number}" # allocated
          SEEN << text # stored
        end
      end
    RUBY
      held = found.first["path"].first
      assert_equal ["Array", found.line("held"), "SEEN = [] # held"], [held["class"], *held["at"].values_at("line", "code")]
      assert_match(/\A"order number [12]50"\z/, found.first["example"])
      assert_equal %(text = "order number \#{number}" # allocated), found.first["allocated"]["code"]
    end
  end

  def test_a_private_constant_of_an_inner_module
    assert_leak(<<~'RUBY', "Object", ["constant Tasks::Inner::SEEN", "element [249]"], allocated: "here", stored: "here")
      module Tasks
        module Inner
          SEEN = []
          private_constant :SEEN
          def self.keep = SEEN.push(Object.new) # here
        end
        def self.run(_) = Inner.keep
      end
    RUBY
  end

  # Nothing but Integers and true: no object survives.
  def test_a_hash_by_id_in_a_variable_of_a_class
    assert_leak(<<~'RUBY', "Hash", ["constant Tasks", "instance_variable @done"], kind: "container", allocated: "allocated", stored: "stored")
      class Tasks
        @done = {} # allocated
        class << self
          def run(number)
            @done[number] ||= true # stored
          end
        end
      end
    RUBY
  end

  def test_callbacks_that_capture
    assert_leak(<<~'RUBY', "Proc", ["constant Tasks::CALLBACKS", "element [249]"], allocated: "block", stored: "block") do |found|
      module Tasks
        CALLBACKS = []
        def self.run(number)
          task = { id: number, context: "c" * 500 }
          CALLBACKS << -> { task } # block
        end
      end
    RUBY
      assert_operator found.first["bytes"], :>, 700 # with what it captured
    end
  end

  def test_a_list_of_a_fiber
    assert_leak(<<~'RUBY', "String", ["fiber_local [:list]", "element [249]"], allocated: "here", stored: "here")
      module Tasks
        def self.run(number) = (Thread.current[:list] ||= []) << "#{number}" # here
      end
    RUBY
  end

  def test_a_key_of_a_thread_for_each_task
    assert_leak(<<~'RUBY', "Object", nil, stored: "here") { |found| assert_match(/\Afiber_local \[:task_\d+\]\z/, found.way.join) }
      module Tasks
        def self.run(number) = Thread.current[:"task_#{number}"] = Object.new # here
      end
    RUBY
  end

  def test_a_list_of_a_named_thread
    assert_leak(<<~'RUBY', "String", ["thread_local [:list] of thread pool 1", "element [249]"], allocated: "here", stored: "here")
      module Tasks
        THREAD = Thread.new { sleep }
        THREAD.name = "pool 1"
        THREAD.thread_variable_set(:list, [])
        def self.run(number) = THREAD.thread_variable_get(:list) << number.to_s # here
      end
    RUBY
  end

  def test_a_global_with_keys_and_values
    assert_leak(<<~'RUBY', "Array", ["global $seen", "element [250]"], allocated: "here", stored: "here")
      module Tasks
        $seen = {}
        def self.run(number) = $seen[number] = [number, "text"] # here
      end
    RUBY
  end

  def test_a_class_variable
    assert_leak(<<~'RUBY', "String", ["constant Tasks", "class_variable @@seen", "key \"250\""], allocated: "key", stored: "key")
      module Tasks
        @@seen = {}
        def self.run(number) = @@seen[number.to_s.freeze] = true # key
      end
    RUBY
  end

  # A Set stores a copy of the String, in a line of Ruby's library.
  def test_a_set
    assert_leak(<<~'RUBY', "String", ["constant Tasks::SEEN", "element"], stored: "stored")
      require "set"
      module Tasks
        SEEN = Set.new
        def self.run(number) = SEEN.add("order #{number}") # stored
      end
    RUBY
  end

  def test_a_set_of_integers
    assert_leak(<<~'RUBY', "Set", ["constant Tasks::SEEN"], kind: "container", allocated: "allocated", stored: "stored")
      require "set"
      module Tasks
        SEEN = Set.new # allocated
        def self.run(number) = SEEN << number # stored
      end
    RUBY
  end

  # It grows until it is full, although the list does not.
  def test_a_list_that_has_its_size_from_the_beginning
    assert_leak(<<~'RUBY', "Thread::ConditionVariable", ["constant Tasks::KEPT", "element [249]"], allocated: "here", stored: "here")
      module Tasks
        KEPT = Array.new(1000)
        def self.run(number) = KEPT[number - 1] = ConditionVariable.new # here
      end
    RUBY
  end

  def test_one_of_many_tasks
    found(<<~'RUBY', tasks: 3000) do |found|
      module Tasks
        KEPT = []
        def self.run(number)
          KEPT << ("x" * 16_384) if (number % 1000).zero? # here
        end
      end
    RUBY
      assert_equal 1, found.suspects.size
      assert_equal ["String", 1], found.first.values_at("class", "count")
      assert_lines(found, allocated: "here")
    end
  end

  def test_a_queue
    assert_leak(<<~'RUBY', "String", ["constant Tasks::QUEUE", "element"], allocated: "here", stored: "here")
      module Tasks
        QUEUE = Thread::Queue.new
        def self.run(number) = QUEUE << number.to_s # here
      end
    RUBY
  end

  def test_a_string_that_gets_longer
    assert_leak(<<~'RUBY', "String", ["constant Tasks::LOG"], kind: "container", count: 0, allocated: "allocated", stored: "stored")
      module Tasks
        LOG = +"" # allocated
        def self.run(number) = LOG << "task done\n" # stored
      end
    RUBY
  end

  # The library makes the Proc and replaces its list: the line of the block is the handler's.
  def test_a_subscriber_for_each_task
    assert_leak(<<~'RUBY', "Proc", nil, allocated: "block") { |found| assert_equal "constant Tasker::Events", found.way.first }
      module Tasks
        def self.run(number)
          Tasker::Events.subscribe("step.failed") { number } # block
        end
      end
    RUBY
  end

  # Ruby's own file is not the handler's, wherever the process runs.
  def test_what_ruby_makes
    assert_leak(<<~'RUBY', "Hash", ["constant Tasks::COPIES", "element [249]"], stored: "stored")
      Dir.chdir(__dir__)
      module Tasks
        COPIES = []
        TEXT = Marshal.dump({ a: 1 })
        def self.run(_) = COPIES << Marshal.load(TEXT) # stored
      end
    RUBY
  end

  # A library keeps it, because the handler's line asks it to.
  def test_what_a_library_keeps
    Dir.mktmpdir do |dir|
      File.write(File.join(dir, "keeper.rb"), <<~'RUBY')
        class Keeper
          def initialize = @kept = {}
          def keep(key) = @kept[key] = Object.new
        end
      RUBY
      assert_leak(<<~RUBY, "Object", ["constant Tasks::KEEPER", "instance_variable @kept", "element [250]"], stored: "stored")
        require "#{dir}/keeper"
        module Tasks
          KEEPER = Keeper.new
          def self.run(number)
            KEEPER.keep(number) # stored
          end
        end
      RUBY
    end
  end

  # The list is the handler's, and so is the line that stores. What the library's object
  # holds is of no interest.
  def test_an_object_of_a_library
    # Which of the events is shown, depends on where the heap has put them.
    assert_leak(<<~'RUBY', "Tasker::Events::Event", nil, stored: "stored") { |found| assert_match(/\Aconstant Tasks::EVENTS element \[[12]\d\d\]\z/, found.way.join(" ")) }
      module Tasks
        EVENTS = []
        Tasker::Events.subscribe("order.made") { |event| EVENTS << event } # stored
        def self.run(number) = Tasker::Events.publish("order.made", { number: number.to_s })
      end
    RUBY
  end

  # No object of the list survives the next task, and an Integer is none.
  def test_a_list_that_is_replaced_by_a_longer_one
    assert_leak(<<~'RUBY', "Array", ["constant Tasks", "instance_variable @numbers"], kind: "container", allocated: "here")
      module Tasks
        @numbers = []
        def self.run(number) = @numbers += [number] # here
      end
    RUBY
  end

  def test_a_hash_that_is_replaced_by_a_longer_one
    assert_leak(<<~'RUBY', "Hash", ["constant Tasks", "class_variable @@done"], kind: "container", allocated: "here")
      module Tasks
        @@done = {}.freeze
        def self.run(number) = @@done = @@done.merge(number => true).freeze # here
      end
    RUBY
  end

  def test_a_linked_list
    assert_leak(<<~'RUBY', "Tasks::Node", nil, allocated: "here") { |found| assert_equal "constant Tasks", found.way.first }
      module Tasks
        Node = Struct.new(:before, :number)
        def self.run(number) = @last = Node.new(@last, number) # here
      end
    RUBY
  end

  def test_lists_of_many
    assert_leak(<<~'RUBY', "String", nil, allocated: "here", stored: "here")
      module Tasks
        LISTS = Hash.new { |lists, key| lists[key] = [] }
        def self.run(number) = LISTS[number % 7] << number.to_s # here
      end
    RUBY
  end

  def test_a_method_that_is_defined_for_each_task
    assert_leak(<<~'RUBY', "Proc", nil, allocated: "block")
      module Tasks
        def self.run(number)
          Tasks.define_method("task_#{number}") { number } # block
        end
      end
    RUBY
  end

  # One list, two lines: one leak.
  def test_two_lines_that_fill_one_list
    found(<<~'RUBY') do |found|
      module Tasks
        LIST = []
        def self.run(number)
          LIST << "a#{number}"
          LIST << Object.new
        end
      end
    RUBY
      assert_equal 1, found.suspects.size
    end
  end

  def test_the_largest_comes_first
    found(<<~'RUBY') do |found|
      module Tasks
        SMALL, LARGE = [], []
        def self.run(number)
          SMALL << Object.new
          LARGE << "x" * 1000 # large
        end
      end
    RUBY
      assert_equal 2, found.suspects.size
      assert_lines(found, allocated: "large", stored: "large")
    end
  end
end

# frozen_string_literal: true

require_relative "helper"

# tasker-engine's task handlers. That the host calls their hooks is tested with a database.
class TaskHandlerTest < Minitest::Test
  PAY = Class.new { def process(*) = nil }

  def test_steps_and_names
    pay = PAY
    task = Class.new do
      include Tasker::TaskHandler

      register_handler :checkout, namespace_name: :shop, version: "2.0.0", concurrent: true
      define_step_templates do |templates|
        templates.define(name: :validate, handler_class: "Shop::Validate", description: "Checks")
        templates.define(name: "pay", handler_class: pay, depends_on_step: "validate", handler_config: { url: "u" }, default_retry_limit: 5)
      end
    end
    made = Tasker::HandlerFactory.instance.get("checkout", namespace_name: "shop", version: "2.0.0")

    assert_instance_of task, made
    assert_equal [["validate", "Shop::Validate", 3, []], ["pay", PAY, 5, []]],
                 made.step_templates.map { |t| [t.name, t.handler_class, t.default_retry_limit, t.depends_on_steps] }
    assert_equal({ "validate" => "Shop::Validate", "pay" => PAY.to_s }, made.step_handler_class_map)
    assert_equal({ url: "u" }, made.step_handler_config_map["pay"])
    assert_nil made.schema
    assert_same task, Tasker::HandlerFactory.instance.list_handlers(namespace: :shop)[:checkout]["2.0.0"]
    assert_raises(Tasker::ProceduralError) { Tasker::HandlerFactory.instance.get("none") }
  end

  def test_the_handlers_of_steps
    pay = handler { def process(*) = config }
    Object.const_set(:TaskHandlerTestPay, pay)
    task = Class.new do
      include Tasker::TaskHandler

      define_step_templates { |templates| templates.define(name: "pay", handler_class: "TaskHandlerTestPay", handler_config: { url: "u" }) }
    end.new
    sequence = Tasker::Testing.sequence(step: { name: "pay" })

    assert_equal({ url: "u" }, task.get_step_handler(sequence.current_step).process)
    other = Tasker::Testing.sequence(step: { name: "other" }).current_step
    assert_match(/defines no step other/, assert_raises(Tasker::ProceduralError) { task.get_step_handler(other) }.message)
    assert_match(/tasker-rb worker runs tasks/, assert_raises(Tasker::ProceduralError) { task.handle(sequence.task) }.message)
    assert_nil task.establish_step_dependencies_and_defaults(sequence.task, sequence.steps)
    assert_nil task.update_annotations(sequence.task, sequence, sequence.steps)
    assert_nil task.schema
  end

  def test_step_templates
    template = Tasker::StepTemplate.new(name: :pay, handler_class: PAY, depends_on_step: :check, depends_on_steps: [:stock, "check"], other: 1)

    assert_equal ["pay", "pay", "unknown", true, 3, false, []],
                 [template.name, template.description, template.dependent_system, template.default_retryable, template.default_retry_limit,
                  template.skippable, template.custom_events]
    assert_equal %w[check stock], template.all_dependencies
    assert_same Tasker::StepTemplate, Tasker::Types::StepTemplate
    assert_match(/needs handler_class:/, assert_raises(ArgumentError) { Tasker::StepTemplate.new(name: "a") }.message)
    definer = Tasker::TaskHandler::StepTemplateDefiner.new
    assert_match(/has no retries/, assert_raises(ArgumentError) { definer.define(name: "a", handler_class: PAY, retries: 1) }.message)
  end

  def test_the_factory
    factory = Tasker::HandlerFactory.instance
    one = Class.new
    other = Class.new
    assert factory.register(:refund, one, namespace_name: :money)
    assert factory.register("refund", one, namespace_name: "money")
    assert_match(%r{money/refund 0.1.0}, assert_raises(ArgumentError) { factory.register(:refund, other, namespace_name: :money) }.message)
    factory.register(:refund, other, namespace_name: :money, replace: true)
    factory.register(:refund, "No::Such", namespace_name: :money, version: "2.0.0")

    assert_instance_of other, factory.get("refund", namespace_name: "money")
    assert_match(/No::Such/, assert_raises(Tasker::ProceduralError) { factory.get(:refund, namespace_name: :money, version: "2.0.0") }.message)
    assert_includes factory.registered_namespaces, :money
    assert_equal({ "0.1.0" => other, "2.0.0" => "No::Such" }, factory.list_handlers[:money][:refund])
    assert_empty factory.list_handlers(namespace: :none)
  end

  def test_task_requests
    request = Tasker::Types::TaskRequest.new(name: "pay", context: { order_id: 1 }, initiator: "ann", other: 1)

    assert_equal ["pay", "default", "0.1.0", { order_id: 1 }, "pending", "ann", "unknown", "unknown", false, [], []],
                 [request.name, request.namespace, request.version, request.context, request.status, request.initiator, request.source_system,
                  request.reason, request.complete, request.tags, request.bypass_steps]
    assert_instance_of Time, request.requested_at
    assert_equal request, Tasker::Types::TaskRequest.new(request.to_h)
    assert_equal "2.0.0", request.new(version: "2.0.0").version
    assert_match(/needs context:/, assert_raises(ArgumentError) { Tasker::Types::TaskRequest.new("name" => "pay") }.message)
    assert_match(/name: has to be a String, not 1/, assert_raises(ArgumentError) { Tasker::Types::TaskRequest.new(name: 1, context: {}) }.message)
  end

  def test_identities
    own = Class.new(Tasker::IdentityStrategy) { def generate_identity_hash(task, options) = "#{task.name}-#{options[:a]}" }
    one, other = %w[one other].map { |name| Tasker::Testing.sequence(task: { name: name }).task }
    random = Tasker::IdentityStrategy.new
    by_hash = Tasker::HashIdentityStrategy.new

    refute_equal random.generate_identity_hash(one, {}), random.generate_identity_hash(one, {})
    assert_equal by_hash.generate_identity_hash(one, { a: 1 }), by_hash.generate_identity_hash(other, { a: 1 })
    assert_equal Digest::SHA256.hexdigest('{"a":1}'), by_hash.generate_identity_hash(one, { a: 1 })
    assert_equal "one-1", own.new.generate_identity_hash(one, { a: 1 })
  end

  def test_hooks_are_not_warned_of
    text = logged(level: :warn) do
      Class.new(Tasker::ConfiguredTask) do
        def update_annotations(_task, _sequence, _steps) = nil
        def schema = {}
        def establish_step_dependencies_and_defaults(_task, _steps) = nil
      end
    end

    assert_empty text
  end

  # What a class has for hooks is found out once, until it is reopened.
  def test_hooks_of_a_class
    task = Class.new { include Tasker::TaskHandler }
    asked = 0
    find = lambda do
      Tasker::TaskHandler::Hooks.of("TaskHandlerTest::Some") do
        asked += 1
        task
      end
    end
    Tasker::TaskHandler.forget

    2.times { assert_nil find.call }
    assert_equal 1, asked
    task.define_method(:update_annotations) { |*| nil }
    refute_nil find.call
    assert_nil find.call.schema_json
    task.define_method(:schema) { { type: :object, required: [:id] } }
    assert_equal({ "type" => "object", "required" => ["id"] }, JSON.parse(find.call.schema_json))
    task.remove_method(:schema)
    task.define_method(:schema) { { maximum: Float::NAN } }
    assert_match(/task_handler_test.rb:\d+: .*#schema is no JSON/, assert_raises(Tasker::HandlerError) { find.call.schema_json }.message)
    text = logged { assert_nil Tasker::TaskHandler::Hooks.of("TaskHandlerTest::None") { raise Tasker::HandlerNotFound } }
    assert_match(/names the task handler TaskHandlerTest::None, and no file defines this class/, text)
  ensure
    Tasker::TaskHandler.forget
  end

  # As the host does it, but without a database.
  def test_hooks_around_a_handler
    calls = []
    task = Class.new do
      include Tasker::TaskHandler

      define_method(:establish_step_dependencies_and_defaults) do |given, steps|
        calls << [:before, given.context[:limit], steps.map(&:status)]
        steps.first.retry_limit = given.context[:limit]
      end
      define_method(:update_annotations) { |_, sequence, steps| calls << [:after, sequence.get_results("step"), steps.map(&:status)] }
    end
    hooks = Tasker::TaskHandler::Hooks.new(task)
    run = lambda do |limit, body|
      step = { name: "step", status: "in_progress", retry_limit: 3, attempts: 1 }
      segments = Tasker::Testing.__send__(:segments, nil, context: { limit: limit }, results: {}, config: {}, step: step, task: {})
      Tasker::Execution.run(handler { define_method(:process) { |*| body.call } }, segments, nil, hooks)
    end

    assert_equal 7, run.call(2, -> { 7 })
    assert_equal [[:before, 2, ["in_progress"]], [:after, 7, ["complete"]]], calls
    text = logged { assert_equal 1, run.call(4, -> { 1 }) }
    assert_match(/task_handler_test.rb:\d+: .* sets the retry_limit of step to 4; the template's 3 is the highest/, text)
    calls.clear
    refute_kind_of Tasker::Permanent, assert_raises(RuntimeError) { run.call(2, -> { raise "no" }) }
    error = assert_raises(RuntimeError) { run.call(1, -> { raise "no" }) }
    assert_equal [true, "RuntimeError"], Tasker::Execution.describe(error).values_at("permanent", "class")
    error = assert_raises(Tasker::PermanentError) { run.call(1, -> { raise RuntimeError.new("no").freeze }) }
    assert_equal "RuntimeError: no", error.message
    assert_equal %i[before before before], calls.map(&:first)
  end

  def test_what_a_task_handler_sets
    sequence = Tasker::Testing.sequence(context: { a: 1 }, step: { attempts: 1, retry_limit: 3 })
    step = sequence.current_step

    assert step.update(inputs: { b: 1 })
    assert_equal [1, nil], [step.inputs[:b], step.inputs[:a]]
    assert_match(/hook establish_step/, assert_raises(Tasker::ConfigurationError) { step.retry_limit = 1 }.message)
    assert_match(/cannot set task_id/, assert_raises(Tasker::ConfigurationError) { step.update(task_id: 1) }.message)
    refute_predicate step, :last_by_hook?
    sequence.changeable = true
    step.update(retry_limit: 2)
    refute_predicate step, :last_by_hook?
    step.retry_limit = 1
    assert_predicate step, :last_by_hook?
    step.handled
    assert_equal ["complete", true, false, true], [step.status, step.processed, step.in_process, step.complete?]
    assert_instance_of Time, step.updated_at
  end

  def test_a_configured_task
    Dir.mktmpdir do |dir|
      File.write("#{dir}/pay.yaml", "name: pay\nschema: {type: object}\nstep_templates:\n  - {name: a, handler_class: Shop::A, depends_on_step: b, other: 1}\n")
      task = Class.new(Tasker::ConfiguredTask) { define_singleton_method(:yaml_path) { "#{dir}/pay.yaml" } }

      assert_equal ["pay", { "type" => "object" }], [task.config["name"], task.new.schema]
      assert_equal({ "a" => "Shop::A" }, task.new.step_handler_class_map)
      assert_nil Tasker::TaskHandler::Hooks.of("TaskHandlerTest::Configured") { task }, "its schema is the template's"
      assert_equal [["a", "Shop::A", "b"]], task.new.step_templates.map { |t| [t.name, t.handler_class, t.depends_on_step] }
    end
    named = Class.new(Tasker::ConfiguredTask) { def self.name = "Shop::CheckOut" }
    assert_equal "config/tasker/tasks/shop/check_out.yaml", named.yaml_path
  end
end

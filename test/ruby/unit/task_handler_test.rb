# frozen_string_literal: true

require_relative "helper"

# tasker-engine's task handlers, which are loaded and not called.
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
    assert_same task, Tasker::HandlerFactory.instance.list_handlers(namespace: :shop)["checkout"]["2.0.0"]
    assert_raises(Tasker::ProceduralError) { Tasker::HandlerFactory.instance.get("none") }
    assert_same Tasker::TaskHandler::StepTemplate, Tasker::Types::StepTemplate
  end

  def test_hooks_are_warned_of_once
    text = logged(level: :warn) do
      2.times do
        Class.new(Tasker::ConfiguredTask) do
          def update_annotations(_task, _sequence, _steps) = nil
          def other = nil
        end
      end
      Class.new do
        include Tasker::TaskHandler
        def schema = {}
        def establish_step_dependencies_and_defaults(_task, _steps) = nil
      end
    end

    assert_equal 3, text.lines.size, text
    assert_match(/task_handler_test\.rb:\d+: .*#update_annotations is not called.*a last step/, text)
    assert_match(/#schema is not called.*as schema:/, text)
    assert_match(/#establish_step_dependencies_and_defaults is not called/, text)
  end

  def test_a_configured_task
    Dir.mktmpdir do |dir|
      File.write("#{dir}/pay.yaml", "name: pay\nschema: {type: object}\nstep_templates:\n  - {name: a, handler_class: Shop::A, depends_on_step: b, other: 1}\n")
      task = Class.new(Tasker::ConfiguredTask) { define_singleton_method(:yaml_path) { "#{dir}/pay.yaml" } }

      assert_equal ["pay", { "type" => "object" }], [task.config["name"], task.new.schema]
      assert_equal [["a", "Shop::A", "b"]], task.new.step_templates.map { |t| [t.name, t.handler_class, t.depends_on_step] }
    end
    named = Class.new(Tasker::ConfiguredTask) { def self.name = "Shop::CheckOut" }
    assert_equal "config/tasker/tasks/shop/check_out.yaml", named.yaml_path
  end
end

# frozen_string_literal: true

require_relative "helper"
require "yaml"

# Runs the examples' handlers by their templates, one step after the other, the
# way the engine would.
class ExamplesTest < Minitest::Test
  FOLDER = File.expand_path("../../../templates/examples", __dir__)

  # A template's steps on a context.
  class Example
    attr_reader :results, :retries

    def initialize(name)
      @folder = File.join(FOLDER, name)
      @template = YAML.load_file(File.join(@folder, "#{name}.yaml"))
      @loader = Tasker::HandlerLoader.new
      @loader.load_dir(File.join(@folder, "handlers"))
    end

    def run(changes = {})
      @results = {}
      @retries = Hash.new(0)
      context = JSON.parse(File.read(File.join(@folder, "context.json"))).merge(changes)
      @context = with_defaults(context, @template["schema"])
      step(pending.first) until pending.empty?
      @results
    end

    private

    # In an order that the template allows.
    def pending
      @template["step_templates"].reject { |s| @results.key?(s["name"]) }
                                 .select { |s| parents(s).all? { |name| @results.key?(name) } }
    end

    def parents(step) = [*step["depends_on_step"], *step["depends_on_steps"]]

    def ancestors(names)
      names | names.flat_map { |name| ancestors(parents(@template["step_templates"].find { |s| s["name"] == name })) }
    end

    def step(step, attempt = 1)
      @results[step["name"]] = Tasker::Testing.run(
        @loader.resolve(step["handler_class"]),
        context: @context, config: step.fetch("handler_config", {}), results: @results.slice(*ancestors(parents(step))),
        step: { name: step["name"], attempts: attempt, retry_limit: step.fetch("default_retry_limit", 3) }
      )
    rescue Tasker::RetryableError
      raise if attempt >= step.fetch("default_retry_limit", 3)

      @retries[step["name"]] += 1
      step(step, attempt + 1)
    end

    def with_defaults(value, schema)
      case value
      when Hash
        properties = schema.fetch("properties", {})
        defaults = properties.select { |name, s| s.key?("default") && !value.key?(name) }.transform_values { |s| s["default"] }
        value.merge(defaults).to_h { |name, inner| [name, with_defaults(inner, properties.fetch(name, {}))] }
      when Array then value.map { |inner| with_defaults(inner, schema.fetch("items", {})) }
      else value
      end
    end
  end

  def quietly(&block) = logged(level: :fatal, &block)

  def twice(example)
    first = second = nil
    quietly do
      first = example.run
      second = example.run
    end
    assert_equal first, second
    first
  end

  def test_order_fulfillment
    example = Example.new("order_fulfillment")
    results = twice(example)

    assert_equal({ "charge_payment" => 1 }, example.retries)
    assert_equal 18_187, results["validate_order"]["total_cents"]
    assert_equal %w[reservation_ids pick_list items_reserved], results["reserve_inventory"].keys
    assert_equal 7, results["reserve_inventory"]["items_reserved"]
    assert_equal [18_187, 2], results["charge_payment"].values_at("charged_cents", "attempts")
    assert_equal results["charge_payment"]["charge_id"], results["ship_order"]["paid_by"]
    assert_equal "Ada Brunner, AT-1070", results["ship_order"]["to"]
  end

  def test_orders_that_cannot_be_fulfilled
    {
      "UNKNOWN_SKU" => { "items" => [{ "sku" => "XXX-000" }] },
      "OUT_OF_STOCK" => { "items" => [{ "sku" => "TEA-002" }] },
      "CARD_DECLINED" => { "payment" => { "card_token" => "tok_declined" } }
    }.each do |code, change|
      error = assert_raises(Tasker::PermanentError) { quietly { Example.new("order_fulfillment").run(change) } }
      assert_equal code, error.error_code
    end
  end

  def test_parallel_analytics
    results = twice(Example.new("parallel_analytics"))

    assert_equal 8, results.size
    metrics = results["aggregate_metrics"]
    assert_equal metrics["revenue_cents"], results["transform_days"]["days"].values.sum
    assert_equal 3, metrics["top_products"].size
    assert_operator results["extract_orders"]["count"], :>, 30
    assert_equal 4, results["generate_insights"]["findings"].size
    assert_match(/\AEUR \d+\.\d\d from \d+ orders of \d+ customers\z/, results["generate_insights"]["headline"])
  end

  def test_a_period_without_orders
    error = assert_raises(Tasker::PermanentError) { Example.new("parallel_analytics").run("from" => "2030-01-01", "to" => "2030-01-02") }
    assert_equal "INCONSISTENT_TOTALS", error.error_code
  end

  def test_exact_diamond
    results = twice(Example.new("exact_diamond"))

    assert_equal 2**200, results["power"]["n"]
    assert_equal((2**400) - 1, results["compare"]["product"])
    assert_equal true, results["compare"]["exact"]
  end

  def test_a_digit_lost_in_the_diamond_is_noticed
    Example.new("exact_diamond")
    given = { neighbours: { below: (2**200) - 1, above: (2**200) + 1 }, square: { square: (2.0**400).to_i + 1 } }
    error = assert_raises(Tasker::PermanentError) { run_step(ExactDiamond::Compare, results: given) }

    assert_equal "INEXACT", error.error_code
  end
end

# frozen_string_literal: true

require_relative "helper"
require "socket"

include TaskerCore::StepHandler::Functional # rubocop:disable Style/MixinUsage

# Handlers as blocks.
class FunctionalSuite < Minitest::Test
  # Stands in for Dry::Struct, which Debian does not have: names of attributes, and
  # keywords with Symbols.
  class Model
    class << self
      attr_accessor :attribute_names
    end

    def self.of(*names)
      Class.new(self) do
        self.attribute_names = names
        attr_reader(*names)
      end
    end

    def initialize(**attributes)
      unknown = attributes.keys - self.class.attribute_names
      raise ArgumentError, "unknown #{unknown}" if unknown.any?

      attributes.each { |name, value| instance_variable_set(:"@#{name}", value) }
    end
  end

  def setup
    @named = Tasker::HandlerLoader::Registry.remember
  end

  def teardown
    Tasker::HandlerLoader::Registry.restore(@named)
    super
  end

  def resolve(name) = Tasker::HandlerLoader.new.resolve(name)

  def test_what_the_block_is_given
    step_handler("shop.charge", depends_on: { cart: "validate_cart", "user" => :load_user }, inputs: [:token, "note"]) do |cart:, user:, token:, note:, context:|
      { cart: cart[:total], user: user, token: token, note: note, step: context.step_name }
    end

    results = run_step(resolve("shop.charge"), context: { token: "t" }, results: { validate_cart: { total: 3 } })
    assert_equal({ "cart" => 3, "user" => nil, "token" => "t", "note" => nil, "step" => "step_under_test" }, results)
  end

  def test_a_block_takes_what_it_needs
    assert_equal({ "a" => 1 }, run_step(step_handler("one", inputs: [:a]) { |a:| { a: a } }, context: { a: 1 }))
    assert_equal({ "all" => %w[a context] }, run_step(step_handler("two", inputs: [:a]) { |**all| { all: all.keys.map(&:to_s).sort } }))
    assert_equal({ "b" => 2 }, run_step(step_handler("three") { |b: 2, context:| { b: context && b } }))
    assert_equal({}, run_step(step_handler("four") { nil }))
  end

  def test_a_keyword_that_nothing_gives
    error = assert_raises(Tasker::HandlerError) { step_handler("wrong", inputs: [:a]) { |b:| b } }
    assert_match(/the handler "wrong" \(.*functional_suite\.rb:\d+\): its block asks for the keyword b:/, error.message)
    assert_match(/inputs: has to be/, assert_raises(Tasker::HandlerError) { step_handler("wrong", inputs: Integer) { nil } }.message)
    assert_match(/block required/, assert_raises(ArgumentError) { step_handler("wrong") }.message)
  end

  def test_models
    cart = Model.of(:total, :items)
    order = Model.of(:order_id, :note)
    handler_class = step_handler("modelled", depends_on: { cart: ["validate_cart", cart], other: ["other", cart] }, inputs: order) do |cart:, other:, inputs:, context:|
      { total: cart.total, items: cart.items, other: other, order: inputs.order_id, note: inputs.note, step: context.step_name }
    end

    results = run_step(handler_class, context: { order_id: 7, more: 1 }, results: { validate_cart: { total: 3, items: [1], more: 2 } })
    assert_equal({ "total" => 3, "items" => [1], "other" => nil, "order" => 7, "note" => nil, "step" => "step_under_test" }, results)
  end

  def test_a_model_may_check_itself
    strict = Model.of(:a)
    strict.define_method(:validate!) { raise TaskerCore::Errors::ValidationError, "a is missing" unless a }

    assert_equal [true, "a is missing"], report(step_handler("strict", inputs: strict) { |inputs:| inputs.a }).values_at("permanent", "message")
  end

  def test_what_the_block_returns
    assert_equal({ "a" => 1 }, run_step(step_handler("r1") { { a: 1 } }))
    assert_equal 5, run_step(step_handler("r2") { TaskerCore::Types::StepHandlerCallResult.success(result: 5) })
    assert_equal({ "x" => 1 }, run_step(step_handler("r3") { Struct.new(:x).new(1) }))
    text = logged { assert_equal({}, run_step(step_handler("r4") { 5 })) }
    assert_match(/the handler "r4" returned an Integer, of which nothing is kept/, text)
    assert report(step_handler("r5") { next TaskerCore::Types::StepHandlerCallResult.failure(message: "no") })["permanent"]
  end

  def test_what_the_block_raises
    assert_equal ["TaskerCore::Errors::PermanentError", true, "E"],
                 report(step_handler("e1") { raise TaskerCore::Errors::PermanentError.new("x", error_code: "E") }).values_at("class", "permanent", "error_code")
    assert_equal [false, 4.0], report(step_handler("e2") { raise TaskerCore::Errors::RetryableError.new("x", retry_after: 4) }).values_at("permanent", "retry_after")
    assert_equal [false, "RuntimeError"], report(step_handler("e3") { raise "x" }).values_at("permanent", "class")
  end

  def test_a_spec_that_calls_the_handler_gets_a_result
    place = __LINE__ + 1
    failing = step_handler("e4") { raise TaskerCore::Errors::PermanentError.new("no card", error_code: "CARD") }
    result = failing.new.call(nil)

    assert_kind_of Result::Error, result
    assert_equal [false, "no card", "PermanentError", "CARD", false], [result.success?, result.message, result.error_type, result.error_code, result.retryable]
    assert step_handler("e5") { raise "x" }.new.call(nil).retryable
    assert_match(/functional_suite\.rb:#{place}/, report(failing)["backtrace"].first)
    assert_raises(NotImplementedError) { step_handler("e6") { raise NotImplementedError }.new.call(nil) }
  end

  def test_the_class
    named = step_handler("shop.named", version: "2.1") { nil }
    assert_equal ["2.1", "shop.named", 'the handler "shop.named"'], [named::VERSION, named.new.handler_name, named.to_s]
    self.class.const_set(:Assigned, named)

    assert_equal "FunctionalSuite::Assigned", named.to_s
    assert_same named, resolve("FunctionalSuite::Assigned")
    assert_includes Tasker::HandlerLoader.new.handler_names, "FunctionalSuite::Assigned"
  end

  def test_the_registry
    registry = TaskerCore::Registry::HandlerRegistry.instance
    known = core { def call(_context) = 1 }
    registry.register_handler("by.hand", known)

    assert registry.handler_available?("by.hand")
    assert_includes registry.registered_handlers, "by.hand"
    assert_same known, resolve("by.hand")
  end

  def test_what_needs_steps_of_run_time_is_loaded_and_refused
    decision = decision_handler("route") { |context:| Decision.route(["a"], tier: context.step_name) }
    analyzer = batch_analyzer("analyze", worker_template: "work") { BatchConfig.new(total_items: 1, batch_size: 1) }
    worker = batch_worker("work") { |batch_context:| batch_context }
    below = Class.new(TaskerCore::StepHandler::Batchable) { def call(_context) = create_batches_outcome(worker_template_name: "x") }

    assert_match(/the handler "route" \(.*functional_suite\.rb:\d+\) is a decision point, and tasker-rb makes no steps at run time/, refused(decision))
    [analyzer, worker, below].each { |handler_class| assert_match(/is part of a batch/, refused(handler_class)) }
    assert_raises(TaskerCore::Absent::UnsupportedError) { below.new.call(nil) }
  end

  def answering(status, body, *headers)
    listener = TCPServer.new("127.0.0.1", 0)
    thread = Thread.new do
      socket = listener.accept
      head = +""
      head << socket.gets until head.end_with?("\r\n\r\n")
      sent = socket.read(head[/^content-length: *(\d+)/i, 1].to_i)
      socket.write("HTTP/1.1 #{status} X\r\nContent-Type: application/json\r\nContent-Length: #{body.bytesize}\r\nConnection: close\r\n#{headers.map { |h| "#{h}\r\n" }.join}\r\n#{body}")
      socket.close
      head + sent
    end
    yield "http://127.0.0.1:#{listener.addr[1]}", thread
  ensure
    thread&.kill&.join
    listener.close
  end

  def test_api_handlers
    answering(200, '{"id": 3}') do |url, asked|
      handler_class = api_handler("api.create", base_url: url, headers: { "X-Key" => "k" }, inputs: [:name]) do |name:, api:|
        { id: api.post("/things", data: { name: name }).body["id"] }
      end
      assert_equal({ "id" => 3 }, run_step(handler_class, context: { name: "n" }))
      assert_match(%r{\APOST /things.*X-Key: k.*\{"name":"n"\}}m, asked.value)
    end
    answering(404, "{}") do |url, _|
      assert_equal [true, "HTTP_404"], report(api_handler("api.none", base_url: url) { |api:| api.get("/x") }).values_at("permanent", "error_code")
    end
    answering(429, "{}", "Retry-After: 7") do |url, _|
      assert_equal [false, 7.0], report(api_handler("api.busy", base_url: url) { |api:| api.get("/x") }).values_at("permanent", "retry_after")
    end
  end

  def test_the_api_class
    handler_class = Class.new(TaskerCore::StepHandler::Api) { def call(context) = api_success(data: get(context.get_input(:path)).body, status: 200) }
    answering(200, '{"a": 1}') do |url, asked|
      assert_equal({ "data" => { "a" => 1 }, "status" => 200, "headers" => {} },
                   run_step(handler_class, context: { path: "/a" }, config: { url: url, auth: { type: "bearer", token: "tok" } }))
      assert_match(/Authorization: Bearer tok/, asked.value)
    end
    failing = Class.new(TaskerCore::StepHandler::Api) { def call(context) = api_failure(message: "no", status: context.get_input(:status)) }
    assert_equal [true, false, true], [404, 503, nil].map { |status| report(failing, context: { status: status })["permanent"] }
  end
end

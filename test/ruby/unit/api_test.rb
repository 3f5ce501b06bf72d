# frozen_string_literal: true

require_relative "helper"
require "socket"

class ApiTest < Minitest::Test
  Api = Tasker::StepHandler::Api
  Rules = Api::ResponseRules

  # Answers each request with the next of the given texts, and keeps what it
  # was asked.
  class Server
    attr_reader :requests

    def initialize(*answers)
      @listener = TCPServer.new("127.0.0.1", 0)
      @requests = []
      @thread = Thread.new { answers.each { |answer| serve(answer) } }
    end

    def url = "http://127.0.0.1:#{@listener.addr[1]}"

    def close
      @thread.kill.join
      @listener.close
    end

    private

    def serve(answer)
      socket = @listener.accept
      head = +""
      head << socket.gets until head.end_with?("\r\n\r\n")
      @requests << (head + socket.read(head[/^content-length: *(\d+)/i, 1].to_i))
      answer == :silence ? sleep : socket.write(answer)
      socket.close
    end
  end

  def serving(*answers)
    server = Server.new(*answers)
    yield server
  ensure
    server&.close
  end

  def answer(status, body = "", **headers)
    lines = headers.map { |name, value| "#{name.to_s.tr("_", "-")}: #{value}\r\n" }.join
    "HTTP/1.1 #{status} X\r\nContent-Length: #{body.bytesize}\r\nConnection: close\r\n#{lines}\r\n#{body}"
  end

  def getting(path = "/things/7?key=secret")
    handler(Api) { define_method(:process) { |*| connection.get(path) } }
  end

  def failure(status, body = "", attempts: 1, config: {}, **headers)
    serving(answer(status, body, **headers)) do |server|
      assert_raises(Tasker::ProceduralError) do
        run_step(getting, config: { url: server.url, **config }, step: { attempts: attempts })
      end
    end
  end

  def test_a_good_answer_becomes_the_results
    serving(answer(200, '{"id": 36893488147419103233}', Content_Type: "application/json; charset=utf-8")) do |server|
      results = run_step(getting, config: { url: server.url })

      assert_equal 200, results["status"]
      assert_equal (2**65) + 1, results["body"]["id"]
      assert_match %r{\AGET /things/7\?key=secret HTTP}, server.requests.first
      assert_match(/^Accept: application\/json/i, server.requests.first)
    end
  end

  def test_bodies_that_are_not_json_stay_as_they_are
    { answer(204) => "", answer(200, "hi") => "hi", answer(200, "{", Content_Type: "application/json") => "{" }
      .each do |text, body|
        serving(text) { |server| assert_equal body, run_step(getting, config: { url: server.url })["body"].to_s }
      end
  end

  def test_the_config_shapes_the_request
    posting = handler(Api) do
      def process(task, *) = connection.post("orders") { |request| request.body = task.context }
      def process_results(step, response, _) = step.results = response.status
    end
    config = { params: { v: 2 }, headers: { "X-Key" => "k", "accept" => "text/plain" } }
    serving(answer(201)) do |server|
      assert_equal 201, run_step(posting, context: { a: [1] }, config: { url: "#{server.url}/api", **config })
      request = server.requests.first

      assert_match %r{\APOST /api/orders\?v=2 HTTP}, request
      assert_match(/^X-Key: k\r/i, request)
      assert_match(%r{^Accept: text/plain\r}i, request)
      assert_match(%r{^Content-Type: application/json\r}i, request)
      assert request.end_with?('{"a":[1]}')
    end
  end

  def test_timeouts
    serving(:silence) do |server|
      assert_raises(Faraday::TimeoutError) { run_step(getting, config: { url: server.url, timeout: 0.5, open_timeout: 60 }) }
    end
  end

  def test_a_block_adds_middleware
    custom = handler(Api) do
      def initialize(config: nil) = super { |connection| connection.headers["X-Block"] = "yes" }
      def process(*) = connection.get("/")
    end
    serving(answer(200)) do |server|
      run_step(custom, config: { url: server.url })
      assert_match(/^X-Block: yes/i, server.requests.first)
    end
  end

  def test_every_status_has_its_outcome
    outcomes = (200..599).group_by do |status|
      Rules.check({ status: status, body: "" }, step: Tasker::Testing.sequence.current_step)
      :fine
    rescue Tasker::PermanentError => e
      assert_equal "HTTP_#{status}", e.error_code
      :permanent
    rescue Tasker::RetryableError
      :retryable
    end

    assert_equal (200..226).to_a, outcomes[:fine]
    assert_equal [400, 401, 403, 404, 422], outcomes[:permanent]
    assert_equal 400 - 27 - 5, outcomes[:retryable].size
  end

  def test_a_permanent_failure
    error = failure(404, "no such thing", Set_Cookie: "session=1", X_Request_Id: "r1")

    assert_instance_of Tasker::PermanentError, error
    assert_equal "HTTP_404", error.error_code
    assert_match %r{\AGET http://127\.0\.0\.1:\d+/things/7 answered 404: no such thing\z}, error.message
    assert_equal [404, "step_under_test", "no such thing"], error.context.values_at(:status, :step_name, :body)
    assert_includes error.context[:headers].keys.map(&:downcase), "x-request-id"
    refute_includes error.context[:headers].keys.map(&:downcase), "set-cookie"
  end

  def test_retry_after
    assert_equal 120, failure(429, "", Retry_After: "120").retry_after
    assert_equal 0, failure(503, "", Retry_After: "0").retry_after
    assert_in_delta 90, failure(503, "", Retry_After: (Time.now + 90).httpdate).retry_after, 40
    assert_nil failure(503, "", Retry_After: "soon").retry_after
    assert_nil failure(503).retry_after
    assert_nil failure(500, "", Retry_After: "120").retry_after, "only a busy server says when"
  end

  def test_forms_of_retry_after
    now = Time.utc(2025, 1, 1, 0, 0, 0)
    {
      "Wed, 01 Jan 2025 00:00:30 GMT" => 30, "Wednesday, 01-Jan-25 00:00:30 GMT" => 30,
      "Wed Jan  1 00:00:30 2025" => 30, "Tue, 31 Dec 2024 00:00:00 GMT" => 1, " 5 " => 5,
      "-5" => nil, "1.5" => nil, "" => nil, nil => nil, "99999999999999999999" => 99_999_999_999_999_999_999
    }.each do |text, seconds|
      seconds.nil? ? assert_nil(Rules.retry_after(text, now: now)) : assert_equal(seconds, Rules.retry_after(text, now: now))
    end
  end

  def test_a_configured_delay
    assert_equal 8, failure(500, attempts: 3, config: { retry_delay: 2 }).retry_after
    assert_equal 2, failure(500, attempts: 3, config: { retry_delay: 2, enable_exponential_backoff: false }).retry_after
    assert_equal 7, failure(429, attempts: 3, config: { retry_delay: 2 }, Retry_After: "7").retry_after
  end

  def test_middleware_that_raises_on_a_status
    strict = handler(Api) do
      def initialize(config: nil) = super { |connection| connection.response :raise_error }
      def process(*) = connection.get("/")
    end
    { 404 => Tasker::PermanentError, 503 => Tasker::RetryableError }.each do |status, expected|
      serving(answer(status, "", Retry_After: "9")) do |server|
        error = assert_raises(expected) { run_step(strict, config: { url: server.url }) }
        assert_kind_of Faraday::Error, error.cause
        assert_equal 9, error.retry_after if status == 503
      end
    end
  end

  def test_a_refused_connection_is_faradays_error
    port = TCPServer.open("127.0.0.1", 0) { |listener| listener.addr[1] }

    assert_raises(Faraday::ConnectionFailed) { run_step(getting, config: { url: "http://127.0.0.1:#{port}" }) }
  end

  def test_output_that_is_no_response
    assert_equal({ "status" => "created" }, run_step(handler(Api) { def process(*) = { status: "created" } }))
    assert_nil run_step(handler(Api) { def process(*) = nil })
    assert_raises(Tasker::PermanentError) { run_step(handler(Api) { def process(*) = { "status" => 422 } }) }
  end

  def test_results_that_process_assigned_stay
    assigning = handler(Api) do
      def process(_task, _sequence, step) = (step.results = { mine: 1 }) && { status: 200, body: "x" }
    end

    assert_equal({ "mine" => 1 }, run_step(assigning))
  end

  def test_urls_that_are_none
    [nil, "", "example.com", "ftp://example.com", "http://", "http://[", "/path"].each do |url|
      error = assert_raises(Tasker::ConfigurationError, url.inspect) { run_step(getting, config: { url: url }) }
      assert_match(/url/, error.message)
    end
  end

  def test_other_keys_of_the_config_are_kept
    config = Api::Config.from(Tasker::Context.new(url: "http://x", page: { size: 5 }, timeout: 3, open_timeout: nil))

    assert_equal [5, 5, nil], [config[:page][:size], config.dig("page", "size"), config[:absent]]
    assert_equal "http://x", config["url"]
    assert_equal({ timeout: 3 }, config.timeouts)
    assert_same config, Api::Config.from(config)
    assert_equal 2, handler(Api) { def process(*) = config[:n] }.then { |h| run_step(h, config: { n: 2 }) }
  end

  def test_without_faraday_there_is_a_hint
    script = <<~RUBY
      module NoFaraday
        def require(name) = name == "faraday" ? raise(LoadError, "cannot load such file -- faraday") : super
      end
      Object.prepend(NoFaraday)
      require "tasker"
      begin
        Tasker::StepHandler::Api.new
      rescue LoadError => e
        puts e.message
      end
    RUBY
    out, ok = ruby(script)

    assert ok, out
    assert_match(/needs the gem faraday.*gem install faraday.*apt install ruby-faraday/, out)
  end
end

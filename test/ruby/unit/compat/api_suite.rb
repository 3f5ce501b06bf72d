# frozen_string_literal: true

require_relative "helper"
require "socket"
require "tempfile"

# Files and pages over HTTP, with a server that answers what each test says.
class ApiSuite < Minitest::Test
  Request = Struct.new(:verb, :path, :query, :headers, :body)

  def setup
    Tasker::StepHandler.const_get(:Api) # needs the gem faraday, which make test/setup installs
  end

  # Yields the server's URL. Each request gets the next answer: a body, and perhaps a
  # status and headers. Returns the requests.
  def serving(*answers)
    listener = TCPServer.new("127.0.0.1", 0)
    seen = []
    thread = Thread.new { answers.each { |answer| serve(listener.accept, seen, **answer) } }
    yield "http://127.0.0.1:#{listener.addr[1]}"
    seen
  ensure
    thread&.kill&.join
    listener&.close
  end

  def serve(socket, seen, body:, status: 200, **headers)
    head = +""
    head << socket.gets until head.end_with?("\r\n\r\n")
    verb, target = head.split(" ", 3)
    path, query = target.split("?", 2)
    length = head[/^content-length: *(\d+)/i, 1].to_i
    seen << Request.new(verb, path, URI.decode_www_form(query.to_s).to_h, head, socket.read(length).to_s.b)
    text = body.is_a?(String) ? body : JSON.generate(body)
    more = { "Content-Type" => "application/json", **headers.transform_keys { |name| name.name.tr("_", "-") } }
    socket.write("HTTP/1.1 #{status} X\r\nContent-Length: #{text.bytesize}\r\nConnection: close\r\n",
                 *more.map { |name, value| "#{name}: #{value}\r\n" }, "\r\n", text)
  ensure
    socket.close
  end

  def api(&body)
    Class.new(TaskerCore::StepHandler::Api) { define_method(:call) { |_context| success(result: instance_exec(&body)) } }
  end

  # The parts of a form, each a head and a body.
  def parts(request)
    boundary = request.headers[/boundary=(\S+)/, 1]
    request.body.split("--#{boundary}")[1..-2].map { |part| part.delete_prefix("\r\n").delete_suffix("\r\n").split("\r\n\r\n", 2) }
  end

  def test_a_file_is_sent
    content = (0..255).to_a.pack("C*") * 10
    Tempfile.create(["in\"voice", ".pdf"], binmode: true) do |file|
      file.write(content)
      file.close
      path = file.path
      seen = serving({ body: { id: 9 } }) do |url|
        sending = api { api_upload_file("/invoices", path, field_name: :document, additional_fields: { order: 7, note: "für\nAda" }).body["id"] }

        assert_equal 9, run_step(sending, config: { url: url, headers: { "X-Key" => "k" } })
      end

      assert_equal [["POST", "/invoices"]], seen.map { |request| [request.verb, request.path] }
      assert_match(/^x-key: k\r$/i, seen[0].headers)
      order, note, document = parts(seen[0])
      assert_equal ['Content-Disposition: form-data; name="order"', "7"], order
      assert_equal ['Content-Disposition: form-data; name="note"', "für\nAda".b], note
      assert_equal content, document[1]
      name = Regexp.escape(File.basename(path).sub('"', "%22"))
      assert_match(%r{\AContent-Disposition: form-data; name="document"; filename="#{name}"\r\nContent-Type: application/octet-stream\z}, document[0])
    end
  end

  def test_a_file_that_is_not_there_is_permanent
    sending = api { api_upload_file("/invoices", "/none/here.pdf") }

    assert_equal [true, "FILE_NOT_FOUND", "there is no file /none/here.pdf"],
                 report(sending, config: { url: "http://127.0.0.1:1" }).values_at("permanent", "error_code", "message")
  end

  def test_a_refused_file
    serving({ body: "too large", status: 422 }) do |url|
      assert_equal [true, "HTTP_422"], report(api { api_upload_file("/x", __FILE__) }, config: { url: url }).values_at("permanent", "error_code")
    end
  end

  def test_a_handler_may_look_at_answers_in_its_own_way
    serving({ body: { n: 1 }, status: 404 }) do |url|
      looking = Class.new(TaskerCore::StepHandler::Api) do
        def process_response(_response) = nil
        def call(_context) = get("/x").then { |response| [response.status, response.body] }
      end
      assert_equal [404, { "n" => 1 }], run_step(looking, config: { url: url })
    end
  end

  # Runs a request for pages; returns its results, and the queries that the server saw.
  def paged(*answers, config: {}, **options, &block)
    results = nil
    seen = serving(*answers) do |url|
      asking = api { api_paginated_request("/things", **options, &block) }
      results = run_step(asking, config: { url: url, **config })
    end
    [results, seen.map(&:query), seen]
  end

  # How an answer says where the next page is, and what the next request then has.
  CURSORS = {
    "in meta" => [{ body: { data: [1], meta: { cursor: "c2" } } }, "c2"],
    "in pagination" => [{ body: { data: [1], pagination: { cursor: 5 } } }, "5"],
    "in data" => [{ body: { data: { cursor: "c2", n: 1 } } }, "c2"],
    "in the header Link" => [{ body: { data: [1] }, link: '</things?cursor=c0>; rel="prev", </things?limit=100&cursor=c%2F2>; rel="next"' }, "c/2"],
    "beside a list" => [{ body: [1], link: "<http://x/things?cursor=c2>; rel=next" }, "c2"]
  }.freeze

  CURSORS.each do |where, (answer, cursor)|
    define_method(:"test_a_cursor_#{where}") do
      assert_equal [{ "limit" => "100" }, { "limit" => "100", "cursor" => cursor }], paged(answer, { body: { data: [] } })[1]
    end
  end

  # After these there is no further page.
  ENDS = {
    "no cursor" => { body: { data: [1] } }, "an empty page" => { body: { data: [], meta: { cursor: "c2" } } },
    "a cursor of null" => { body: { data: [1], meta: { cursor: nil } } }, "no data" => { body: { meta: { cursor: "c2" } } },
    "text" => { body: "none" }, "a link to elsewhere" => { body: { data: [1] }, link: '</things?cursor=1>; rel="prev"' }
  }.freeze

  ENDS.each do |how, answer|
    define_method(:"test_the_end_is_#{how}") { assert_equal 1, paged(answer)[1].size }
  end

  def test_all_pages_together
    pages = [{ body: { data: [1, 2], meta: { after: "b" } } }, { body: { data: [3], meta: { after: nil } } }]
    results, queries, = paged(*pages, pagination_key: :after, limit_key: "size", config: { pagination: { page_size: 2 } })

    assert_equal [1, 2, 3], results
    assert_equal [{ "size" => "2" }, { "size" => "2", "after" => "b" }], queries
  end

  def test_each_page_to_a_block
    seen = []
    results, = paged({ body: { data: [1, 2], meta: { cursor: "b" } } }, { body: { data: { n: 3 } } }) { |page| seen << page }

    assert_equal [[], [[1, 2], { "n" => 3 }]], [results, seen]
  end

  def test_pages_by_post
    _, queries, requests = paged({ body: { data: [] } }, method: :post)

    assert_equal [["POST"], [{ "limit" => "100" }]], [requests.map(&:verb), queries]
  end

  def test_no_more_pages_than_that
    answer = { body: { data: [1], meta: { cursor: "x" } } }
    results = nil
    said = logged { results = paged(answer, answer, max_pages: 2)[0] }

    assert_equal [1, 1], results
    assert_match(%r{WARN.*/things has more than 2 pages: the rest was left out}, said)
  end

  def test_a_page_that_is_refused
    serving({ body: { data: [1], meta: { cursor: "x" } } }, { body: "", status: 503, retry_after: 4 }) do |url|
      assert_equal [false, 4.0], report(api { api_paginated_request("/x") }, config: { url: url }).values_at("permanent", "retry_after")
    end
  end
end

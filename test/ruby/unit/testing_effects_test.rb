# frozen_string_literal: true

require_relative "testing_helper"
require "fileutils"
require "net/http"
require "socket"

class TestingEffectsTest < Minitest::Test
  include TestingHelper

  # The effects of a block that runs as a handler's code.
  def effects(&block)
    @engine.step("a", handler { define_method(:process) { |*| block.call && 1 } })
    task = Tasker::Testing::Effects.watch { run_task("x") }
    assert_predicate task, :complete?, task.step("a").error&.message
    @engine.asked("effect")
  ensure
    Tasker::Testing::Service.transport = @engine = FakeEngine.new
  end

  def kinds(&block)
    effects(&block).map { |effect| effect.values_at("kind", "detail") }
  end

  def server
    Socket.tcp_server_sockets("127.0.0.1", 0) do |sockets|
      port = sockets.first.local_address.ip_port
      thread = Thread.new { Socket.accept_loop(sockets) { |client, _| answer(client) } }
      yield port
    ensure
      thread&.kill&.join
    end
  end

  def answer(client)
    nil until client.gets.to_s.strip.empty?
    client.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
    client.close
  end

  def test_a_request_counts_once
    server do |port|
      list = effects do
        http = Net::HTTP.new("127.0.0.1", port)
        request = Net::HTTP::Post.new("/charges?x=1", "Idempotency-Key" => "k-1", "Content-Type" => "application/json")
        http.request(request, "{}") { |response| File.write(File::NULL, response.body) }
        Net::HTTP.get(URI("http://127.0.0.1:#{port}/rates"))
      end
      assert_equal [["http", "POST http://127.0.0.1:#{port}/charges?x=1", "k-1"]], list.map { |effect| effect.values_at("kind", "detail", "key") }
      assert_match(/\Atest.*testing_effects_test.rb:\d+\z/, list.first["place"].delete_prefix("#{File.expand_path("../../..", __dir__)}/"))
    end
  end

  def test_an_effect_in_the_block_of_a_request_counts
    Dir.mktmpdir do |dir|
      server do |port|
        assert_equal(%w[http file], kinds do
          Net::HTTP.start("127.0.0.1", port) { |http| http.request(Net::HTTP::Post.new("/", "Content-Type" => "a/b")) { |_| File.write("#{dir}/a", "x") } }
        end.map(&:first))
      end
    end
  end

  def test_sockets
    server do |port|
      assert_equal [["socket", "127.0.0.1:#{port}"]] * 3, (kinds do
        TCPSocket.new("127.0.0.1", port).close
        Socket.tcp("127.0.0.1", port).close
        UDPSocket.new.send("x", 0, "127.0.0.1", port)
      end)
    end
  end

  # As a client of Redis, which connects once.
  def test_what_is_sent_over_a_connection_that_is_there
    server do |port|
      open = Array.new(3) { TCPSocket.new("127.0.0.1", port) }
      receiver = UDPSocket.new.tap { |socket| socket.bind("127.0.0.1", 0) }
      udp = UDPSocket.new.tap { |socket| socket.connect("127.0.0.1", receiver.local_address.ip_port) }
      sends = -> { open[0].write("a", "b") && open[0].puts("c").nil? && open[1].write_nonblock("a", exception: false) && open[2].send("a", 0) && udp.send("a", 0) }
      to = [*["127.0.0.1:#{port}"] * 3, receiver.local_address.inspect_sockaddr]
      2.times { assert_equal(to.map { |address| ["socket", address] }, kinds(&sends)) }
      assert_equal [["socket", "127.0.0.1:#{port}"]], (kinds do
        TCPSocket.open("127.0.0.1", port) { |socket| socket << "a" << "b" }
      end)
      [*open, udp, receiver].each(&:close)
    end
  end

  def test_files_that_are_written
    Dir.mktmpdir do |dir|
      a = "#{dir}/a"
      assert_equal [a] * 8 + ["#{dir}/b", "#{dir}/c", "#{dir}/c", "#{dir}/d", "#{dir}/d/e"], (kinds do
        File.write(a, "x")
        File.binwrite(a, "x")
        File.open(a, "w") { |f| f << "x" }
        File.open(a, File::WRONLY) { |f| f << "x" }
        File.new(a, mode: "a").close
        open(a, "r+") { |f| f << "x" } # rubocop:disable Security/Open
        Pathname.new(a).write("x")
        File.truncate(a, 0)
        FileUtils.cp(a, "#{dir}/b")
        FileUtils.mv("#{dir}/b", "#{dir}/c")
        FileUtils.rm("#{dir}/c")
        FileUtils.mkdir_p("#{dir}/d/e")
      end).map(&:last)
    end
  end

  def test_what_is_no_effect
    assert_empty(kinds do
      File.read(__FILE__)
      File.open(__FILE__) { |f| f.read(1) }
      File.write(File::NULL, "x")
      Tempfile.create("x") { |f| f << "x" }
      Tempfile.new("x").close!
      Dir.mktmpdir { |dir| FileUtils.mkdir_p("#{dir}/b") && File.write("#{dir}/b/c", "x") }
      Tempfile.create("x") { |f| File.write(f.path, "x") }
      Net::HTTP.new("127.0.0.1")
      UNIXSocket.pair.first.write("x")
    end)
  end

  def test_processes
    assert_equal ["true", "true a", "true", "fork", "true", "true"], (kinds do
      system("true")
      Process.wait(spawn({ "A" => "1" }, "true", "a", %i[out] => File::NULL))
      `true`
      Process.wait(fork { nil })
      IO.popen("true").close
      Process.wait(Process.spawn("true"))
    end).map(&:last)
  end

  def test_an_effect_by_hand
    list = effects { Tasker::Testing.effect(:other, "charge", key: 5) || true }
    assert_equal ["other", "charge", "5", "a", 1], list.first.values_at("kind", "detail", "key", "step", "attempt")
    assert_raises(ArgumentError) { Tasker::Testing.effect(:otter, "charge") }
  end

  def test_nothing_is_watched_outside_steps
    Tasker::Testing::Effects.watch { system("true") }
    @engine.step("a", handler { def process(*) = system("true") })
    run_task("x")
    assert_empty @engine.asked("effect")
  end
end

# frozen_string_literal: true

require "bigdecimal" # BigDecimal("1.5") is a method, which no autoload finds

module Tasker
  # The parts of Ruby's library that Rails has always loaded, so that handlers
  # written there name them without a require. Each is loaded when it is first
  # named; until then it costs nothing.
  #
  # @api private
  LIBRARY = {
    Base64: "base64", Benchmark: "benchmark", Digest: "digest", ERB: "erb", FileUtils: "fileutils",
    OpenStruct: "ostruct", Pathname: "pathname", SecureRandom: "securerandom", Set: "set", Singleton: "singleton", Tempfile: "tempfile",
    Timeout: "timeout", URI: "uri"
  }.freeze
  private_constant :LIBRARY

  LIBRARY.each { |name, feature| Object.autoload(name, feature) unless Object.const_defined?(name) }
end

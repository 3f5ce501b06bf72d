# frozen_string_literal: true

require_relative "ruby_versions"

module Tasker
  # The parts of Ruby's library that Rails always loads. Handlers written for
  # Rails name them without a require. Each is loaded when it is first named, and
  # costs nothing until then.
  #
  # @api private
  LIBRARY = {
    Base64: "base64", Benchmark: "benchmark", Digest: "digest", ERB: "erb", FileUtils: "fileutils",
    OpenStruct: "ostruct", Pathname: "pathname", SecureRandom: "securerandom", Set: "set", Singleton: "singleton", Tempfile: "tempfile",
    Timeout: "timeout"
  }.freeze
  private_constant :LIBRARY

  LIBRARY.each { |name, feature| Object.autoload(name, feature) unless Object.const_defined?(name) }
  require "uri" # at once: the autoload of URI breaks programs that require "uri/generic" first, as ActiveSupport does
  RubyVersions.library?("bigdecimal") # BigDecimal("1.5") is a method, and autoload finds constants only
end

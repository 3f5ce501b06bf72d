# frozen_string_literal: true

# The Ruby half uses these constants from inside Tasker, so it keeps copies here.
# It still works when a handler removes one from Object. Tests that stub constants
# do that.
module Tasker
  %i[
    ArgumentError Array Class Complex Date Encoding EncodingError Exception FalseClass Float GC Hash IO Integer JSON
    KeyError Kernel Logger Method Module Mutex NameError NilClass NoMethodError Numeric Object Proc Process Queue Rational Regexp
    RuntimeError STDERR STDOUT Signal StandardError String Struct Symbol SystemExit Thread ThreadError Time TracePoint
    TrueClass TypeError UnboundMethod
  ].each do |name|
    next unless Object.const_defined?(name) && !const_defined?(name, false)

    const_set(name, Object.const_get(name))
    private_constant name
  end
end

# frozen_string_literal: true

# The Ruby half names these from inside Tasker, so they are also there: it goes
# on when a handler removes one from Object, as tests that stub constants do.
module Tasker
  %i[
    ArgumentError Array Class Complex Date Encoding EncodingError Exception FalseClass Float GC Hash IO Integer JSON
    Kernel Logger Method Module Mutex NameError NilClass NoMethodError Numeric Object Proc Process Queue Rational Regexp
    RuntimeError STDERR STDOUT Signal StandardError String Struct Symbol SystemExit Thread ThreadError Time TracePoint
    TrueClass TypeError UnboundMethod
  ].each do |name|
    next unless Object.const_defined?(name) && !const_defined?(name, false)

    const_set(name, Object.const_get(name))
    private_constant name
  end
end

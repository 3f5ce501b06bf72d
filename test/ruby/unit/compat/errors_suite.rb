# frozen_string_literal: true

require_relative "helper"

# Which rescue catches which error.
class ErrorsSuite < Minitest::Test
  Core = TaskerCore::Errors
  Mine = Class.new(Tasker::PermanentError)
  CATCHES = {
    [Tasker::PermanentError, Core::PermanentError] => true,
    [Tasker::PermanentError, Core::ValidationError] => true,
    [Tasker::PermanentError, Core::NotFoundError] => true,
    [Tasker::PermanentError, Tasker::PermanentError] => true,
    [Tasker::PermanentError, Mine] => true,
    [Tasker::PermanentError, Core::RetryableError] => false,
    [Tasker::PermanentError, Core::TimeoutError] => false,
    [Tasker::PermanentError, StandardError] => false,
    [Tasker::RetryableError, Core::RetryableError] => true,
    [Tasker::RetryableError, Tasker::RetryableError] => true,
    [Tasker::RetryableError, Core::PermanentError] => false,
    [Mine, Core::PermanentError] => false,
    [Mine, Mine] => true,
    [Core::PermanentError, Tasker::PermanentError] => false,
    [Tasker::Permanent, Core::PermanentError] => true,
    [Tasker::Error, Core::PermanentError] => true,
    [Tasker::ProceduralError, Core::NetworkError] => true
  }.freeze

  def caught?(by, error)
    raise error, "x"
  rescue by
    true
  rescue StandardError
    false
  end

  CATCHES.each do |(by, error), wanted|
    define_method(:"test_#{by}_and_#{error}") { assert_equal wanted, caught?(by, error) }
  end

  def test_the_superclasses_are_the_gems
    refute_includes Core::PermanentError.ancestors, Tasker::PermanentError
    assert_equal Core::ProceduralError, Core::PermanentError.superclass
  end
end

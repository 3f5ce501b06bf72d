# frozen_string_literal: true

require_relative "../helper"

# What the layers load of Rails. make test/setup installs the gems.
class RailsGemsSuite < Minitest::Test
  LAYERS = %w[tasker/compat/tasker_core tasker/compat/rails].freeze

  # A LoadError of these features, as Ruby raises it.
  MISSING = <<~RUBY
    module Missing
      def require(name)
        return super unless name.start_with?("active_")

        raise LoadError.new("cannot load such file -- \#{name}").tap { |e| e.define_singleton_method(:path) { BROKEN || name } }
      end
    end
    Object.prepend(Missing)
  RUBY

  def output(script, *options)
    out, ok = ruby("require 'tasker'\nrequire 'logger'\n#{script}", *options)
    assert ok, out
    out
  end

  def test_active_support_is_there
    LAYERS.each do |layer|
      assert_equal '[true, "2 days", {:a=>{:b=>1}}]', output(<<~RUBY).delete("\n").gsub(/(\w+): /, ':\1=>'), layer
        require "#{layer}"
        print [Time.respond_to?(:current), 2.days.inspect, { "a" => { "b" => 1 } }.deep_symbolize_keys].inspect
      RUBY
    end
  end

  def test_active_model_is_there_with_rails
    assert_equal "name is missing", output(<<~RUBY)
      require "tasker/compat/rails"
      class Product
        include ActiveModel::Model
        attr_accessor :name
        validate { errors.add(:name, "is missing") if name.nil? }
      end
      print Product.new.tap(&:valid?).errors.map { |e| "\#{e.attribute} \#{e.message}" }.join
    RUBY
  end

  def test_what_is_not_installed_is_left_out_without_a_word
    LAYERS.each do |layer|
      assert_equal "days is a method of ActiveSupport", output(<<~RUBY)[/\A.*(?=:)/], layer
        BROKEN = nil
        #{MISSING}
        Tasker.logger = Logger.new($stdout, level: :info)
        require "#{layer}"
        begin
          3.days
        rescue NoMethodError => e
          print Tasker::Hints.of(e)
        end
      RUBY
    end
  end

  def test_what_is_installed_and_broken_is_a_warning
    LAYERS.each do |layer|
      said = output("BROKEN = 'concurrent/map'\n#{MISSING}\nTasker.logger = Logger.new($stdout, level: :info)\nrequire '#{layer}'")

      assert_match(%r{WARN .*active_support/all is installed, but cannot be loaded: cannot load such file}, said, layer)
    end
  end

  def test_warnings_stay_on_for_handlers
    assert_equal "true", output("require 'tasker/compat/tasker_core'\nprint $VERBOSE")
  end
end

# frozen_string_literal: true

module Tasker
  module Testing
    # The constants of the top level and of the handlers' modules, as they were before
    # an example. What the code of a spec file defines or assigns there while the
    # example runs is taken back; what other files define, because they are loaded
    # meanwhile, stays.
    #
    # @api private
    class Constants
      # @param file [String, nil] of the example
      def initialize(file)
        @file = file && File.expand_path(file)
        @before = {}.compare_by_identity
        remember(Object)
      end

      # @return [nil]
      def restore
        @before.each do |owner, constants|
          (owner.constants(false) - constants.keys).each { |name| remove(owner, name) if specs?(owner, name) }
          constants.each { |name, value| put_back(owner, name, value) }
        end
        nil
      end

      private

      # An autoload is not resolved: to name it would load its file.
      def remember(owner)
        return if @before.key?(owner)

        constants = owner.constants(false).reject { |name| owner.autoload?(name, false) }.to_h { |name| [name, value(owner, name)] }
        @before[owner] = constants
        constants.each_value { |value| remember(value) if value.is_a?(Module) && handlers?(value) }
      end

      # Without the warning of a deprecated constant.
      def value(owner, name)
        verbose = $VERBOSE
        $VERBOSE = nil
        owner.const_get(name, false)
      ensure
        $VERBOSE = verbose
      end

      def put_back(owner, name, value)
        return owner.const_set(name, value) unless owner.const_defined?(name, false)
        return if owner.autoload?(name, false) || value(owner, name).equal?(value) || !specs?(owner, name)

        remove(owner, name)
        owner.const_set(name, value)
      end

      def remove(owner, name)
        owner.__send__(:remove_const, name)
      end

      def specs?(owner, name)
        file = owner.const_source_location(name, false)&.first or return false

        file = File.expand_path(file)
        file == @file || spec_files.include?(file)
      end

      def spec_files
        return [] unless defined?(::RSpec::Core) && ::RSpec.respond_to?(:configuration)

        ::RSpec.configuration.loaded_spec_files
      end

      def handlers?(mod)
        return false unless mod.name

        file = Object.const_source_location(mod.name)&.first or return false
        folders.any? { |folder| file.start_with?("#{folder}/") }
      rescue NameError
        false
      end

      def folders
        @folders ||= Tasker.const_defined?(:Host) ? Host.loader.folders : []
      end
    end
  end
end

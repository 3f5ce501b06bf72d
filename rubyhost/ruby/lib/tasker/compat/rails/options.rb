# frozen_string_literal: true

module Tasker
  module Compat
    module RailsParts
      # A Hash with Symbol keys, which are methods too.
      class Options < Hash
        # @param value [Object]
        # @return [Object] the value, with every Hash in it made one of these
        def self.from(value)
          case value
          when Hash then value.each_with_object(new) { |(key, inner), options| options[key.to_sym] = from(inner) }
          when Array then value.map { |inner| from(inner) }
          else value
          end
        end

        def [](key) = super(key.to_sym)

        def []=(key, value)
          super(key.to_sym, value)
        end

        def dig(key, *rest) = super(key.to_sym, *rest)

        def respond_to_missing?(name, include_private = false)
          name.end_with?("=", "!") || key?(name) || super
        end

        def method_missing(name, *arguments)
          text = name.name
          return self[text.delete_suffix("=")] = arguments.first if text.end_with?("=") && arguments.size == 1
          return fetch(text.delete_suffix("!").to_sym) if text.end_with?("!") && arguments.empty?

          arguments.empty? && key?(name) ? self[name] : super
        end
      end

      # Options that make others below them when they are asked for.
      class Custom < Options
        NAME = /\A(?!to_)\w+\z/
        private_constant :NAME

        def respond_to_missing?(name, include_private = false)
          name.match?(NAME) || super
        end

        def method_missing(name, *arguments)
          return super unless arguments.empty? && name.match?(NAME)

          self[name] = Custom.new unless key?(name)
          self[name]
        end
      end

      # A file for Rails' config_for.
      class ConfigFile
        # @param path [Pathname]
        def initialize(path)
          @path = path
        end

        # @param env [String] such as "production"
        # @return [Options, Object, nil]
        def for(env)
          all = Options.from(read)
          raise "#{@path} has to hold a mapping with a key for each environment" unless all.is_a?(Hash)

          shared = all[:shared]
          own = all[env]
          shared.is_a?(Hash) && (own.nil? || own.is_a?(Hash)) ? deep_merge(shared, own || Options.new) : own || shared
        end

        private

        def read
          require "yaml"
          text = ERB.new(@path.read).result
          YAML.respond_to?(:unsafe_load) ? YAML.unsafe_load(text, filename: @path.to_s) || {} : YAML.load(text) || {} # rubocop:disable Security/YAMLLoad
        rescue Psych::SyntaxError => e
          raise "#{@path} is no YAML: #{e.message}"
        end

        def deep_merge(one, other)
          one.merge(other) { |_, a, b| a.is_a?(Hash) && b.is_a?(Hash) ? deep_merge(a, b) : b }
        end
      end
    end
  end
end

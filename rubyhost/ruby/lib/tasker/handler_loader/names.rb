# frozen_string_literal: true

module Tasker
  class HandlerLoader
    # Finds classes by name, and the names that are near a wrong one.
    class Names
      NAME = /\A(?:::)?[A-Z]\w*(?:::[A-Z]\w*)*\z/

      # @param wording [Wording]
      def initialize(wording)
        @wording = wording
      end

      # @param name [String]
      # @return [Class]
      # @raise [HandlerNotFound] when there is no such class
      # @raise [HandlerError] when it is something else
      def resolve(name)
        registered = Registry.find(name)
        return registered if registered

        refuse(name) unless name.match?(NAME)
        path = name.delete_prefix("::")
        found = constant(path)
        raise HandlerNotFound, @wording.no_class(path, near(path) + near_registered(name)) if found.nil?
        raise HandlerError, "#{name} is #{Article.of(found.class)}, not a class" unless found.is_a?(Class)

        found
      end

      # @return [Array<String>] of the classes that could handle steps
      def handlers
        ObjectSpace.each_object(Class).filter_map do |klass|
          next unless klass.public_method_defined?(:process) && klass != StepHandler::Base && klass != Execution::Entry.layer&.base

          Module.instance_method(:name).bind_call(klass)
        end.uniq.sort
      end

      private

      # For a name that is no class's.
      def refuse(name)
        raise HandlerError, "#{name.inspect} is not a class name such as Payments::ChargeCard" unless name.match?(Registry::NAME)

        found = near_registered(name)
        raise HandlerNotFound, "#{name.inspect} is not a class name such as Payments::ChargeCard, and no step_handler of this name is loaded" \
                               "#{"; did you mean #{found.map(&:inspect).join(" or ")}?" if found.any?}"
      end

      # Registered names are compared whole, and by their last parts.
      def near_registered(name)
        require "did_you_mean" unless defined?(DidYouMean::SpellChecker)
        names = Registry.names
        by_last = names.group_by { |candidate| candidate[/[\w-]+[?!]?\z/] }
        part = name[/[\w-]+[?!]?\z/]
        (by_last.fetch(part, []) + close(name, names) + by_last.values_at(*close(part, by_last.keys)).flatten).uniq.first(3)
      rescue LoadError
        []
      end

      def constant(name)
        name.split("::").reduce(Object) do |scope, part|
          return nil unless scope.is_a?(Module)

          scope.const_get(part.to_sym, scope.equal?(Object))
        rescue NameError => e
          raise unless missing_here?(e, scope, part)

          return nil
        end
      end

      # False for an error from a file that was autoloaded on the way.
      def missing_here?(error, scope, part)
        error.name.to_s == part && error.receiver.equal?(scope)
      rescue ArgumentError
        false
      end

      # Compares whole names, and last parts.
      def near(name)
        require "did_you_mean" unless defined?(DidYouMean::SpellChecker)
        names = handlers
        by_last = names.group_by { |candidate| candidate.split("::").last }
        part = name.split("::").last
        same = by_last.fetch(part, [])
        (same + close(name, names) + by_last.values_at(*close(part, by_last.keys)).flatten).uniq.first(3)
      rescue LoadError
        []
      end

      # The spell checker also finds names that share no more than the
      # namespace. The limit on the distance leaves those out.
      def close(name, candidates)
        found = DidYouMean::SpellChecker.new(dictionary: candidates).correct(name)
        limit = [name.split("::").last.size / 3, 2].max
        found.select { |candidate| DidYouMean::Levenshtein.distance(name, candidate) <= limit }
      end
    end
  end
end

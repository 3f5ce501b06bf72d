# frozen_string_literal: true

module Tasker
  class HandlerLoader
    # Words the errors of the loader.
    class Wording
      # How many more files are named of those that need the same constant.
      SHOWN = 5
      private_constant :SHOWN

      # @param folders [Array<String>] of the loader, which adds to them
      def initialize(folders)
        @folders = folders
      end

      # Says what is wrong with one of the files, or which constants they lack if nothing
      # else is wrong.
      #
      # @param failures [Array<LoadOrder::Failure>] at least one
      # @return [Array(String, Exception)] the message and its cause
      def refusal(failures)
        first = failures.find { |f| !f.waits }
        first ? [of(first), first.error] : [missing(failures), failures.first.error]
      end

      # @param failure [LoadOrder::Failure]
      # @return [String]
      def of(failure)
        failure.error.is_a?(SyntaxError) ? syntax(failure.error) : failure(failure.error, failure.file) + failure.more
      end

      # @param error [Exception] that a file raised while it loaded
      # @param file [String]
      # @return [String]
      def failure(error, file)
        failure_at(place_of(error, file), error)
      end

      # @param place [String]
      # @param error [Exception]
      # @return [String]
      def failure_at(place, error)
        "#{unreadable(place, error) || said(place, error)}#{hint(error)}"
      end

      # A SyntaxError says file:line itself.
      #
      # @param error [SyntaxError]
      # @return [String]
      def syntax(error)
        "#{error.message.to_s.strip}#{"\n" if Hints.of(error)}#{hint(error)&.delete_prefix("; ")}"
      end

      # Says each missing constant once, with the files that need it.
      #
      # @param waiting [Array<LoadOrder::Failure>] one for each file
      # @return [String]
      def missing(waiting)
        return failure(waiting.first.error, waiting.first.file) if waiting.one?

        constants = waiting.group_by { |w| text_of(w.error)[/\Auninitialized constant (\S+)/, 1] && [w.error.name, Hints.of(w.error)] }
        lines = constants.map { |key, group| group.one? || key.nil? ? group.map { |w| failure(w.error, w.file) } : [once(group)] }.flatten
        "#{waiting.size} files need constants that nothing defines:\n  #{lines.join("\n  ")}"
      end

      # For a file that defines a class or module differently than an earlier
      # definition: says where the earlier one is.
      #
      # @param error [Exception]
      # @param file [String]
      # @param waited [Symbol, nil] the constant for which the file had to run twice
      # @return [String] to be added to {#failure}; often empty
      def defined_before(error, file, waited)
        name = error.is_a?(TypeError) && text_of(error)[/\A(?:superclass mismatch for class )?(\S+)(?: is not a (?:class|module))?\z/, 1]
        first = name && first_place(name, error)
        return "" unless first
        return "; it was defined at #{first}" unless waited && first == place_of(error, file)

        "; the file was run twice, because it needs #{waited}, which a later one defines: require that one at its top"
      end

      # @param name [String] of a class that was not found
      # @param near [Array<String>]
      # @return [String]
      def no_class(name, near)
        "there is no class #{name}; #{expectation("#{underscore(name)}.rb")}#{"; did you mean #{near.join(" or ")}?" if near.any?}"
      end

      # @return [String] the place in the folders where the error was raised, or
      #   the file when there is none
      def place_of(error, file)
        locations = error.backtrace_locations.to_a
        ours = locations.find { |l| @folders.any? { |folder| l.absolute_path.to_s.start_with?("#{folder}/") } }
        ours ? "#{ours.absolute_path}:#{ours.lineno}" : file
      end

      # @param error [Exception]
      # @return [String, nil] where it was raised, outside Ruby's library and this one; in a
      #   gem only if nothing else is
      def place_outside(error)
        lines = error.backtrace_locations.to_a.reject do |l|
          path = l.absolute_path.to_s
          path.empty? || path.start_with?(RbConfig::CONFIG["rubylibdir"], RbConfig::CONFIG["vendordir"].to_s, File.expand_path("../..", __dir__))
        end
        gems = defined?(Gem) ? Gem.path : []
        place = lines.find { |l| gems.none? { |dir| l.absolute_path.start_with?("#{dir}/") } } || lines.first
        place && "#{place.absolute_path}:#{place.lineno}"
      end

      private

      def said(place, error)
        case error
        when SystemExit then "#{place}: the file called exit"
        when NameError then "#{place}: #{text_of(error)}"
        else "#{place}: #{error.class}: #{text_of(error)}"
        end
      end

      # A file that is there, and that require does not find or cannot read: a folder, a
      # link to nothing, a file of another user, a bad disk.
      def unreadable(file, error)
        return unless (error.is_a?(LoadError) && error.path == file) || error.is_a?(SystemCallError)

        File.open(file) { |opened| opened.read(1) }
        nil
      rescue SystemCallError => e
        "#{file}: the file cannot be read: #{e.message[/\A[^@]*[^@\s]/]}"
      end

      def hint(error)
        hint = Hints.of(error)
        "; #{hint}" if hint
      end

      # The files that need one constant.
      def once(group)
        first, *others = group
        places = others.first(SHOWN).map { |w| "#{place_of(w.error, w.file)} too" }
        places << "and #{others.size - SHOWN} more" if others.size > SHOWN
        [failure(first.error, first.file), *places].join("\n    ")
      end

      # The message without the additions of did_you_mean and error_highlight.
      def text_of(error)
        RubyVersions.original_message(error).lines.first.to_s.chomp
      rescue StandardError, ScriptError
        "(its message cannot be had)"
      end

      # Ruby's message names the constant without the modules around it. The
      # backtrace names those.
      def first_place(name, error)
        *around, last = name.split("::")
        around = open_modules(error) if around.empty?
        scope = around.reduce(Object) { |at, part| at.const_get(part, at.equal?(Object)) }
        path, line = scope.const_source_location(last)
        "#{path}:#{line}" if path && line.to_i.positive?
      rescue NameError, TypeError
        nil
      end

      def open_modules(error)
        error.backtrace_locations.to_a.map { |l| l.label[/\A<(?:module|class):(\w+)>\z/, 1] }.take_while(&:itself).reverse
      end

      def expectation(file)
        return "it was expected in #{file}" if @folders.empty?

        loaded = @folders.map { |folder| File.join(folder, file) }.find { |path| File.file?(path) }
        return "#{loaded} was loaded, but does not define it" if loaded

        "it was expected in #{@folders.map { |folder| File.join(folder, file) }.join(" or ")}"
      end

      def underscore(name)
        name.gsub("::", "/")
            .gsub(/([A-Z]+)([A-Z][a-z])/, '\1_\2')
            .gsub(/([a-z\d])([A-Z])/, '\1_\2')
            .downcase
      end
    end
  end
end

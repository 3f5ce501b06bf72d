# frozen_string_literal: true

require "tasker"
require "tasker/execution"

module Tasker
  # Loads folders of handler files, and finds handler classes by name.
  #
  # The files of a folder may need each other's constants: they are loaded in
  # whatever order works. One that meets a constant that is not there yet is
  # tried again after the others, so what stands above that place in it is run
  # twice.
  class HandlerLoader
    NAME = /\A(?:::)?[A-Z]\w*(?:::[A-Z]\w*)*\z/
    # What a file may raise at load that is its own fault.
    RAISED = [StandardError, ScriptError, SystemExit, SystemStackError].freeze
    private_constant :NAME, :RAISED

    # A file that met a constant that nobody has defined yet.
    Waiting = Struct.new(:file, :error, :place)
    private_constant :Waiting

    # @return [Array<String>] the folders that were loaded
    attr_reader :folders

    def initialize
      @folders = []
      @waited = {}
    end

    # Loads every Ruby file below the folders, each once, and puts the folders
    # on the load path.
    #
    # @param dirs [Array<String>] folders; more than one when their files need
    #   each other
    # @return [Array<String>] the files that were loaded now
    # @raise [HandlerError] with the place, when a file cannot be loaded
    def load_dir(*dirs)
      files = dirs.flat_map { |dir| open_folder(dir) }
      rounds(files)
      files
    ensure
      Execution.forget
    end

    # Finds a class by its name.
    #
    # @param name [String] such as "Payments::ChargeCard"
    # @return [Class]
    # @raise [HandlerError] when there is none; says which file it was expected
    #   in, and which names are near
    def resolve(name)
      name = name.to_s
      raise HandlerError, "#{name.inspect} is not a class name such as Payments::ChargeCard" unless name.match?(NAME)

      found = constant(name.delete_prefix("::"))
      raise HandlerError, not_found(name.delete_prefix("::")) if found.nil?
      raise HandlerError, "#{name} is a #{found.class}, not a class" unless found.is_a?(Class)

      found
    end

    # The names of the classes that could handle steps.
    #
    # @return [Array<String>]
    def handler_names
      ObjectSpace.each_object(Class).filter_map do |klass|
        next unless klass.public_method_defined?(:process) && klass != StepHandler::Base

        Module.instance_method(:name).bind_call(klass)
      end.uniq.sort
    end

    private

    def open_folder(dir)
      raise HandlerError, "there is no folder #{dir}" unless File.exist?(dir)
      raise HandlerError, "#{dir} is not a folder" unless File.directory?(dir)

      path = File.realpath(dir)
      @folders |= [path]
      $LOAD_PATH.unshift(path) unless $LOAD_PATH.include?(path)
      Dir.glob("**/*.rb", base: path).sort.map { |file| File.join(path, file) }
    end

    # A round tries every file that is left. It was worth it when one of them
    # got further than in the round before.
    def rounds(files)
      before = nil
      until files.empty?
        waiting = files.filter_map { |file| attempt(file, again: !before.nil?) }
        now = waiting.map { |w| [w.file, w.place, w.error.name] }
        raise_missing(waiting) if now == before

        before = now
        files = waiting.map(&:file)
      end
    end

    # @return [Waiting, nil]
    def attempt(file, again:)
      again ? quietly { require file } : require(file)
      nil
    rescue SyntaxError => e
      raise HandlerError, one_line(e)
    rescue NameError => e
      place = place_of(e, file)
      raise HandlerError, failure(e, place) unless constant_missing?(e)

      @waited[file] = e.name
      Waiting.new(file, e, place)
    rescue *RAISED => e
      raise HandlerError, failure(e, place_of(e, file)) + defined_before(e, file)
    end

    # Says where the class or module was defined first that a file defines
    # differently.
    def defined_before(error, file)
      name = error.is_a?(TypeError) && text_of(error)[/\A(?:superclass mismatch for class )?(\S+)(?: is not a (?:class|module))?\z/, 1]
      first = name && first_place(name, error)
      return "" unless first
      return "; it was defined at #{first}" unless @waited[file] && first == place_of(error, file)

      "; the file was run twice, because it needs #{@waited[file]}, which a later one defines: require that one at its top"
    end

    # Ruby names the constant without the modules around it; the backtrace has
    # those.
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

    # A file's second run sets its constants once more; Ruby need not say so.
    def quietly
      verbose = $VERBOSE
      $VERBOSE = nil
      yield
    ensure
      $VERBOSE = verbose
    end

    def constant_missing?(error)
      !error.is_a?(NoMethodError) && error.name.to_s.match?(/\A[[:upper:]]/)
    end

    def raise_missing(waiting)
      lines = waiting.map { |w| failure(w.error, w.place) }
      raise HandlerError, lines.first, cause: waiting.first.error if lines.one?

      raise HandlerError, "#{lines.size} files need constants that nothing defines:\n  #{lines.join("\n  ")}",
            cause: waiting.first.error
    end

    def failure(error, place)
      case error
      when SystemExit then "#{place}: the file called exit"
      when NameError then "#{place}: #{text_of(error)}"
      else "#{place}: #{error.class}: #{text_of(error)}"
      end
    end

    # Where in the folders it was raised, else where at all.
    def place_of(error, file)
      locations = error.backtrace_locations.to_a
      ours = locations.find { |l| @folders.any? { |folder| l.absolute_path.to_s.start_with?("#{folder}/") } }
      ours ? "#{ours.absolute_path}:#{ours.lineno}" : file
    end

    # The message without what did_you_mean and error_highlight add.
    def text_of(error)
      text = error.respond_to?(:original_message) ? error.original_message : error.message
      text.to_s.lines.first.to_s.chomp
    end

    # A SyntaxError says file:line itself.
    def one_line(error)
      error.message.to_s.strip
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

    # Not one that a file raised that was loaded on the way.
    def missing_here?(error, scope, part)
      error.name.to_s == part && error.receiver.equal?(scope)
    rescue ArgumentError
      false
    end

    def not_found(name)
      file = "#{underscore(name)}.rb"
      near = near(name)
      "there is no class #{name}; #{expectation(file)}#{"; did you mean #{near.join(" or ")}?" if near.any?}"
    end

    def expectation(file)
      return "it was expected in #{file}" if @folders.empty?

      there = @folders.map { |folder| File.join(folder, file) }.find { |path| File.file?(path) }
      return "#{there} was loaded, but does not define it" if there

      "it was expected in #{@folders.map { |folder| File.join(folder, file) }.join(" or ")}"
    end

    def underscore(name)
      name.gsub("::", "/")
          .gsub(/([A-Z]+)([A-Z][a-z])/, '\1_\2')
          .gsub(/([a-z\d])([A-Z])/, '\1_\2')
          .downcase
    end

    # By the whole name, or by its last part.
    def near(name)
      require "did_you_mean" unless defined?(DidYouMean::SpellChecker)
      names = handler_names
      by_last = names.group_by { |candidate| candidate.split("::").last }
      part = name.split("::").last
      same = by_last.fetch(part, [])
      (same + close(name, names) + by_last.values_at(*close(part, by_last.keys)).flatten).uniq.first(3)
    rescue LoadError
      []
    end

    # The spell checker always finds something, if only by the namespace.
    def close(name, candidates)
      found = DidYouMean::SpellChecker.new(dictionary: candidates).correct(name)
      limit = [name.split("::").last.size / 3, 2].max
      found.select { |candidate| DidYouMean::Levenshtein.distance(name, candidate) <= limit }
    end
  end
end

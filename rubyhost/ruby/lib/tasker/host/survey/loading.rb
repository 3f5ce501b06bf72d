# frozen_string_literal: true

module Tasker
  module Host
    module Survey
      # Loads the folders as the host does, and makes problems of what cannot be loaded.
      class Loading
        # How many more places are named of those that need the same thing.
        SHOWN = 20
        CORRECT = "Correct the file; `ruby -wc FILE` checks one."
        OTHERWISE = "Correct the file, or load what it needs with --handlers DIR or --require FILE."
        PATH = "Correct the path; require_relative begins in the folder of the file that calls it."
        WARNED = /\A(.+?):(\d+): (.*)\z/m
        private_constant :CORRECT, :OTHERWISE, :PATH, :WARNED

        # Tasker.logger while the files load: what it is warned of at a place is a problem.
        class Listener < ::Logger
          def initialize(logger, files, &heard)
            super(nil)
            @logger = logger
            @files = files.to_h { |file| [Problem.text(file), true] }
            @heard = heard
          end

          def add(severity, message = nil, progname = nil)
            message = block_given? ? yield : progname if message.nil?
            said = severity == WARN && Problem.text(message.to_s).match(WARNED)
            return @logger.add(severity, message) unless said && @files[said[1]]

            text, hint = said[3].split("; ", 2)
            @heard.call(Problem.warning(said[1], said[2], text, hint && "#{hint[0].upcase}#{hint[1..]}."))
            true
          end
          alias log add
        end

        # @return [Array<Problem>]
        attr_reader :problems
        # @return [Hash{String => true}] constants that a problem names
        attr_reader :named
        # @return [Hash{String => true}] files that are not loaded
        attr_reader :failed

        # @param loader [HandlerLoader]
        # @param known [Hash{String => String}] constants that the files define, with the
        #   place
        # @param all [Array<Facts>] of every file
        def initialize(loader, known, all)
          @loader = loader
          @known = known
          @facts = all.to_h { |facts| [facts.file, facts] }
          @problems = []
          @named = {}
          @failed = {}
        end

        # @param dirs [Array<String>]
        # @param files [Array<String>] of these folders
        # @return [Loading]
        def load(dirs, files)
          before = Tasker.logger
          Tasker.logger = Listener.new(before, files) { |problem| @problems << problem }
          look(@loader.load_each(*dirs).last)
        ensure
          Tasker.logger = before
        end

        # @param failures [Array<HandlerLoader::LoadOrder::Failure>]
        # @return [Loading]
        def look(failures)
          failures.each { |failure| @failed[failure.file] = true }
          failures.group_by { |failure| lacks(failure) || failure }.each { |lack, group| lack.is_a?(Array) ? lacking(lack, group) : broken(lack) }
          @problems.uniq!
          self
        end

        private

        # @return [Array, nil] what the file needs and does not get
        def lacks(failure)
          error = failure.error
          case error
          when NoMethodError, SyntaxError then nil
          when NameError then (name = text_of(error)[/\Auninitialized constant (\S+)/, 1]) && [:constant, as_written(failure, name)]
          when LoadError then error.path && [:feature, error.path]
          end
        end

        # Ruby puts the module around it before a constant that was written without one.
        def as_written(failure, name)
          file, line = Problem.place(failure.place)
          last = name.split("::").last
          alone = @facts[file]&.constants&.any? { |constant| constant.line == line && constant.path.first == last }
          alone ? last : name
        end

        # One problem for a thing that some files need.
        def lacking((kind, name), group)
          group = group.sort_by(&:place)
          first, *others = group
          @named[name] = true if kind == :constant
          unloaded = kind == :constant && unloaded_name(first.error)
          name = unloaded if unloaded
          hint = (unloaded && "It is defined at #{@known[unloaded]}, in a file that cannot be loaded; correct that one.") || Hints.of(first.error) || (kind == :constant ? Hints.of_name(name) || OTHERWISE : feature_hint(name))
          message = kind == :constant ? "uninitialized constant #{name}" : text_of(first.error)
          @problems << Problem.error(*Problem.place(first.place), message + too(others.map(&:place).uniq - [first.place]), hint)
        end

        def too(places)
          return "" if places.empty?

          shown = places.first(SHOWN)
          shown << "#{places.size - SHOWN} more" if places.size > SHOWN
          "; #{shown.join(", ")} #{places.one? ? "needs" : "need"} it too"
        end

        # A file that cannot be loaded may define what others need. The module around a
        # constant that is written alone may be any of those that Ruby names.
        def unloaded_name(error)
          *around, last = text_of(error)[/\Auninitialized constant (\S+)/, 1].split("::")
          around.size.downto(0).map { |size| [*around.first(size), last].join("::") }.find { |candidate| @known.key?(candidate) }
        end

        def feature_hint(name)
          return "There is no file at the end of this link, or this user may not read it." if File.symlink?(name) || (File.file?(name) && !File.readable?(name))
          return "It belongs to a test suite; keep tests out of the handlers folder." if name.match?(/(?:spec|rails|test)_helper\z/)
          return "Only files may end in .rb here." if File.directory?(name)
          return PATH if name.match?(%r{\A\.{0,2}/})

          "Install the gem it is in, or correct the name; --gemfile FILE names the Gemfile, -I DIR a folder to look in."
        end

        def broken(failure)
          case failure.error
          when SyntaxError then broken_syntax(failure)
          when SystemExit then add(failure, "the file called exit", "A handler file may only define things; take the exit out.")
          when NameError then add(failure, text_of(failure.error), Hints.of(failure.error) || OTHERWISE)
          else add(failure, "#{failure.error.class}: #{text_of(failure.error)}#{failure.more}", Hints.of(failure.error) || OTHERWISE)
          end
        end

        def add(failure, message, hint)
          @problems << Problem.error(*Problem.place(failure.place), message, hint)
        end

        def broken_syntax(failure)
          hint = Hints.of(failure.error) || CORRECT
          Syntax.errors(Problem.text(failure.error.message.to_s), failure.file).each do |file, line, said|
            @problems << Problem.error(file, line, said, hint)
          end
        end

        def text_of(error)
          Problem.text(RubyVersions.original_message(error).lines.first.to_s.chomp)
        rescue StandardError, ScriptError
          "(its message cannot be had)"
        end
      end
    end
  end
end

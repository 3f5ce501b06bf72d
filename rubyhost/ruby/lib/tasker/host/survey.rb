# frozen_string_literal: true

require "logger"
require_relative "survey/problem"
require_relative "survey/reader"
require_relative "survey/syntax"
require_relative "survey/loading"
require_relative "survey/constants"
require_relative "survey/name_rules"
require_relative "survey/conduct_rules"
require_relative "survey/context_writes"
require_relative "survey/doubles"
require_relative "survey/handler_rules"

module Tasker
  module Host
    # Reads and loads folders of handlers that may be written for something else, and says
    # what will not work. `tasker-rb doctor` loads it; nothing else needs it.
    #
    # The files are read before they are loaded, so that their code cannot disturb that.
    module Survey
      WANTED = [*ConductRules::NAMES, *NameRules::NAMES, *Hints.certain.map(&:name)].to_h { |name| [name, true] }.freeze
      private_constant :WANTED

      class << self
        # @param dirs [Array<String>] folders
        # @param uses [Array<String>] the handlers that templates name, as Class or
        #   Class#method
        # @return [Hash] "problems", an Array of Hashes; "handlers" and "files", their
        #   numbers; "unloaded", the constants of files that cannot be loaded, with the place
        # @raise [HandlerError] when one is no folder
        def run(dirs, uses = [])
          files, all, known = read_folders(dirs)
          written = all.flat_map { |facts| ConductRules.look(facts) } + ContextWrites.look(all) + Doubles.look(all)
          after_loading(dirs, files, all, known, uses, written)
        rescue HandlerError
          raise
        rescue StandardError => e
          raise HandlerError, "the files change Ruby so much that they cannot be examined: #{e.class}: #{e.message} (#{e.backtrace.to_a[0]})"
        end

        # Says of the files that the host could not load what {run} says of them.
        #
        # @return [Hash] "problems" and "unloaded"
        def failures
          _, all, known = read_folders(Host.loader.folders)
          loading = Loading.new(Host.loader, known, all).look(Host.loader.failures)
          { problems: loading.problems.map(&:to_json_hash), unloaded: unloaded(known, loading) }
        end

        # @param names [Array<String>]
        # @return [Array<String>] those that no class has
        def missing(names)
          names.reject { |name| Constants.new({}).module(name) }
        end

        # @param file [String]
        # @return [Facts, nil]
        def read(file)
          text = Source.text(file)
          text && Reader.read(file, text, WANTED)
        end

        private

        # @return [Array(Array<String>, Array<Facts>, Hash{String => String})] the files, what
        #   is in them, and the constants that they define
        def read_folders(dirs)
          files = dirs.flat_map { |dir| ruby_files(dir) }.uniq
          all = files.filter_map { |file| read(file) }
          [files, all, definitions(all).merge(unread(files, all))]
        end

        def after_loading(dirs, files, all, known, uses, written)
          loading = Loading.new(Host.loader, known, all).load(dirs, files)
          said = loading.problems.to_h { |problem| [[problem.file, problem.line], true] }
          written = written.reject { |problem| said[[problem.file, problem.line]] }
          constants = Constants.new(known)
          handlers = HandlerRules.new(constants, all, loading, uses)
          problems = loading.problems + handlers.look + NameRules.new(constants, loading, all).look + written
          { problems: problems.uniq.map(&:to_json_hash), handlers: handlers.count, files: files.size, unloaded: unloaded(known, loading) }
        end

        # @return [Hash{String => String}] what only files define that cannot be loaded
        def unloaded(known, loading)
          known.select { |_, place| loading.failed[Problem.place(place).first] }.to_h { |name, place| [Problem.text(name), Problem.text(place)] }
        end

        # As the loader finds them.
        def ruby_files(dir)
          return [] unless File.directory?(dir)

          path = File.realpath(dir)
          Dir.glob("**/*.rb", base: path).sort.map { |file| File.join(path, file) }.reject { |file| File.pipe?(file) || File.socket?(file) }
        end

        def definitions(all)
          all.each_with_object({}) { |facts, known| facts.definitions.each { |d| known[d.name] ||= facts.at(d.line) } }
        end

        # What files define that are no Ruby: they are searched for words.
        def unread(files, all)
          sound = all.to_h { |facts| [facts.file, true] }
          files.reject { |file| sound[file] }.each_with_object({}) do |file, known|
            around = []
            (Source.text(file) || "").b.each_line.with_index(1) do |line, number|
              next unless (found = line.match(/\A(\s*)(?:class|module)\s+([A-Z][\w:]*)/n))

              around.pop while around.any? && around.last[0] >= found[1].size
              around.push([found[1].size, found[2].force_encoding(Encoding::UTF_8)])
              known[around.map(&:last).join("::")] ||= "#{file}:#{number}"
            end
          end
        end
      end
    end
  end
end

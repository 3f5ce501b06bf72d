# frozen_string_literal: true

module Tasker
  module Host
    # Warns of a class whose methods two files define, when the files are loaded: Ruby takes
    # the last one without a word. The files are searched for the names of classes, and those
    # that share one are read as `tasker-rb doctor` reads them.
    module DoubleWarnings
      CLASSES = /^[ \t]*class[ \t]+(?:\w+::)*([A-Z]\w*)/n
      private_constant :CLASSES

      class << self
        # @param files [Array<String>]
        # @return [Array<String>] the files
        def look(files)
          suspects = suspects(files)
          warn_of(suspects) unless suspects.empty?
          files
        rescue StandardError, ScriptError => e
          Tasker.logger.debug { "the handlers were not searched for classes in two files: #{e.class}: #{e.message}" }
          files
        end

        private

        def suspects(files)
          by_name = Hash.new { |hash, name| hash[name] = [] }
          files.each { |file| File.binread(file).scan(CLASSES).flatten.uniq.each { |name| by_name[name] << file } }
          by_name.values.select { |sharing| sharing.size > 1 }.flatten.uniq
        end

        def warn_of(files)
          require_relative "survey/reader"
          require_relative "survey/problem"
          require_relative "survey/doubles"
          all = files.filter_map do |file|
            text = Survey::Source.text(file)
            text && Survey::Reader.read(file, text)
          end
          Survey::Doubles.look(all).each do |problem|
            Tasker.logger.warn("#{problem.file}:#{problem.line}: #{problem.message}. #{problem.hint}")
          end
        end
      end
    end
  end
end

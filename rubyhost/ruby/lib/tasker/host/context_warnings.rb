# frozen_string_literal: true

module Tasker
  module Host
    # Warns of handlers that write to task.context, once for each class and line, when their
    # files are loaded. No step pays for that: the files are searched for words, and those
    # that may have such a write are read as `tasker-rb doctor` reads them.
    module ContextWarnings
      WRITES = '(?:\][ \t]*(?:\|\||&&|\*\*|<<|>>|[-+*/%&|^])?=(?![=~>])|\][ \t]*<<|\.\w+!|' \
               '\.(?:store|delete|update|replace|clear|delete_if|keep_if|shift|push|append|unshift|prepend|concat|insert|pop|fill)\b)'
      ON_ONE_LINE = /(?:context|input_data)\b[^\n#]{0,300}?#{WRITES}/n
      BY_ANOTHER_NAME = /[=(,][ \t]*[\w.@]*\.(?:context|input_data)\b/n
      ANYWHERE = /#{WRITES}/n
      private_constant :WRITES, :ON_ONE_LINE, :BY_ANOTHER_NAME, :ANYWHERE

      class << self
        # @param files [Array<String>]
        # @return [nil]
        def look(files)
          files.each { |file| warn_of(file) if suspect?(file) }
          nil
        rescue StandardError, ScriptError => e
          Tasker.logger.debug { "the handlers were not searched for writes to task.context: #{e.class}: #{e.message}" }
          nil
        end

        private

        def suspect?(file)
          text = File.binread(file)
          text.match?(ON_ONE_LINE) || (text.match?(BY_ANOTHER_NAME) && text.match?(ANYWHERE))
        end

        def warn_of(file)
          require_relative "survey/reader"
          require_relative "survey/context_writes"
          text = Survey::Source.text(file)
          facts = text && Survey::Reader.read(file, text)
          Survey::ContextWrites.lines(facts).each { |line| Tasker.logger.warn(line) } if facts
        end
      end
    end
  end
end

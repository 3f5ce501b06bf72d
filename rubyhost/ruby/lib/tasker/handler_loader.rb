# frozen_string_literal: true

require "tasker"
require "tasker/execution"
require_relative "handler_loader/registry"
require_relative "handler_loader/names"
require_relative "handler_loader/wording"
require_relative "handler_loader/load_order"

module Tasker
  # Loads folders of handler files, and finds handler classes by name.
  #
  # The files of a folder may need each other's constants. They are loaded in an
  # order that works: a file that names an undefined constant is tried again
  # after the others. The part of the file above that constant then runs twice.
  #
  # @api private
  class HandlerLoader
    private_constant :Names, :Wording, :LoadOrder

    def initialize
      @folders = []
      @failures = []
      @wording = Wording.new(@folders)
      @order = LoadOrder.new(@wording)
      @names = Names.new(@wording)
    end

    # @return [Array<LoadOrder::Failure>] the files that {#load_dir} could not load
    attr_reader :failures

    # @return [Array<String>] the folders that were loaded
    def folders
      @folders.dup
    end

    # Loads every Ruby file below the folders, each once, and puts the folders
    # on the load path.
    #
    # @param dirs [Array<String>] folders; more than one when their files need
    #   each other
    # @return [Array<String>] the files of these folders
    # @raise [HandlerError] with the place, when a file cannot be loaded. {#failures} has
    #   all such files.
    def load_dir(*dirs)
      files = dirs.flat_map { |dir| open_folder(dir) }
      load_all(files)
      files
    ensure
      Execution.forget
    end

    # Loads as {#load_dir} does, and goes on after a file that cannot be loaded.
    #
    # @param dirs [Array<String>] folders
    # @return [Array(Array<String>, Array<LoadOrder::Failure>)] the files of these folders,
    #   and those that cannot be loaded
    # @raise [HandlerError] when one is no folder
    def load_each(*dirs)
      files = dirs.flat_map { |dir| open_folder(dir) }
      [files, @order.load(files)]
    ensure
      Execution.forget
    end

    # Loads files of the folders once more, and goes on after one that cannot be loaded.
    # A constant that is set once more does not warn. What a file has defined before, and
    # does not any more, stays.
    #
    # @param files [Array<String>]
    # @return [Hash{String => String}] what is wrong, by file
    def reload(files)
      files.each { |file| $LOADED_FEATURES.delete(file) }
      @order.load(files, again: true).to_h { |failure| [failure.file, @wording.of(failure)] }
    ensure
      Execution.forget
    end

    # Requires a feature as a folder's file is required: its error has file and line.
    #
    # @param feature [String] as for require, or a file as ./FILE
    # @return [Boolean]
    # @raise [HandlerError] with the place, when the feature cannot be loaded
    # @raise [LoadError] when there is no such feature
    def require_feature(feature)
      path = feature.start_with?("./") ? File.expand_path(feature) : feature
      require path
    rescue SyntaxError => e
      raise HandlerError, @wording.syntax(e)
    rescue LoadOrder::Raised => e
      place = @wording.place_outside(e)
      raise if place.nil? || (e.is_a?(LoadError) && e.path == path)

      raise HandlerError, @wording.failure_at(place, e)
    end

    # Puts the folders on the load path, and leaves their files to {#load_postponed},
    # which {#resolve} calls too.
    #
    # @param dirs [Array<String>] folders
    # @return [Array<String>] the files of these folders
    # @raise [HandlerError] when one is no folder
    def postpone(*dirs)
      @postponed = dirs.flat_map { |dir| open_folder(dir) }
    end

    # Loads the files of {#postpone}. When one cannot be loaded, the next call tries again.
    #
    # @return [Boolean] whether there were any
    # @raise [HandlerError] with the place, when a file cannot be loaded
    def load_postponed
      files = @postponed
      return false unless files

      @postponed = nil # a constant that a file lacks leads here again
      begin
        load_all(files)
      rescue StandardError
        @postponed = files
        raise
      ensure
        Execution.forget
      end
      true
    end

    # Finds a class by its name, or by the name that it was registered with.
    #
    # @param name [String] such as "Payments::ChargeCard" or "validate_cart"
    # @return [Class]
    # @raise [HandlerNotFound] when there is no such class. The message says in
    #   which file it was expected, and which names are near.
    # @raise [HandlerError] when the name is registered twice
    def resolve(name)
      load_postponed
      @names.resolve(name.to_s)
    end

    # The names of the classes that could handle steps.
    #
    # @return [Array<String>]
    def handler_names
      @names.handlers
    end

    private

    def load_all(files)
      @failures = @order.load(files)
      return if @failures.empty?

      message, cause = @wording.refusal(@failures)
      raise HandlerError, message, cause: cause
    end

    def open_folder(dir)
      raise HandlerError, "there is no folder #{dir}" unless File.exist?(dir)
      raise HandlerError, "#{dir} is not a folder" unless File.directory?(dir)

      path = File.realpath(dir)
      @folders << path unless @folders.include?(path)
      $LOAD_PATH.unshift(path) unless $LOAD_PATH.include?(path)
      # A pipe would be read until somebody writes into it.
      Dir.glob("**/*.rb", base: path).sort.map { |file| File.join(path, file) }.reject { |file| File.pipe?(file) || File.socket?(file) }
    end
  end
end

# frozen_string_literal: true

# The tables of docs/from-tasker-*.md that have a column "Name". Their rows say of names
# that they work, differ or are absent.
module DocsNames
  ROOTS = {
    "from-tasker-engine.md" => -> { [Tasker, Tasker::Events::Subscribers] },
    "from-tasker-core.md" => -> { [TaskerCore, TaskerCore::Types, TaskerCore::StepHandler] }
  }.freeze

  # One row. Its first cell is a list of names, or a list of scopes, a colon, and a list of
  # names that each of the scopes has. Other words in it need a check of their own.
  Row = Struct.new(:file, :cell, :says) do
    def to_s = "#{file}: #{cell}"

    def verdict = says[/\A(works|differs|absent)\b/]

    def plain? = cell.gsub(/`[^`]+`/, "").match?(/\A(?:[\s,:]|and the others)*\z/)

    # @return [Array<String>] with the missing ones, when the row says that they are there,
    #   and with those that are there when it says that they are absent
    def wrong
      (verdict == "absent") ? names.select { |scope, name| there?(scope, name) } : names.reject { |scope, name| there?(scope, name) }
    end

    private

    # @return [Array<Array>] pairs of a scope and a name
    def names
      scopes, list = cell.include?("`: ") ? cell.split("`: ", 2) : ["", cell]
      list = list.scan(/`([^`]+)`/).flatten
      scopes.empty? ? list.map { |name| [nil, name] } : scopes.delete("`").split(", ").product(list)
    end

    def there?(scope, name)
      scope = resolve(scope) if scope
      case name
      when /\A(.+)\.(\w+[?!=]?)\z/ then answers?(resolve(Regexp.last_match(1)), Regexp.last_match(2))
      when /\A(.+)#(\w+[?!=]?)\z/ then method_of?(resolve(Regexp.last_match(1)), Regexp.last_match(2))
      when /\A(?:::)?[A-Z]/ then !resolve(name, scope).nil?
      else has?(scope, name)
      end
    rescue NameError
      false # the scope is not there
    end

    def has?(scope, name)
      raise ArgumentError, "#{self}: #{name} needs a scope" if scope.nil?

      scope.is_a?(Module) ? method_of?(scope, name) || scope.singleton_methods.include?(name.to_sym) : scope.respond_to?(name)
    end

    def method_of?(scope, name) = scope.is_a?(Class) || scope.is_a?(Module) ? scope.method_defined?(name) || own_private?(scope, name) : false

    # Not those that every object has, such as format.
    def own_private?(scope, name)
      scope.private_method_defined?(name) && scope.instance_method(name).owner != Kernel
    end

    def answers?(scope, name) = !scope.nil? && scope.respond_to?(name)

    # @return [Object, nil] a constant, or what its method instance returns
    def resolve(path, scope = nil)
      return resolve(path.delete_suffix(".instance")).instance if path.end_with?(".instance")
      return path.split("::").drop(1).reduce(Object) { |at, name| at.const_get(name) } if path.start_with?("::")

      [scope, *ROOTS.fetch(file).call].compact.each do |root|
        found = path.split("::").reduce(root) do |at, name|
          break nil unless at.is_a?(Module) && at.const_defined?(name, false)

          at.const_get(name, false)
        end
        return found unless found.nil?
      end
      raise NameError, "#{self}: there is no #{path}" if scope.nil?
    end
  end

  class << self
    # @param file [String]
    # @return [Array<Row>]
    def rows(file)
      lines = File.readlines(File.expand_path("../../../../docs/#{file}", __dir__), chomp: true)
      tables = lines.slice_when { |before, _| before.empty? }.select { |part| part.first == "| Name | |" }
      tables.flat_map { |part| part.drop(2).take_while { |line| line.start_with?("|") } }.map do |line|
        Row.new(file, *line[1..].split("|").map(&:strip).first(2))
      end
    end
  end
end

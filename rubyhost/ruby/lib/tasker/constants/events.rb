# frozen_string_literal: true

module Tasker
  module Constants
    events = lambda do |*parts|
      prefix = "#{parts.map(&:downcase).join(".")}."
      names = Events::Names.with_constants.select { |name| name.start_with?(prefix) && !name.delete_prefix(prefix).include?(".") }
      Module.new { names.each { |name| const_set(name.delete_prefix(prefix).upcase, name) } }
    end
    TaskEvents = events.call("task")
    StepEvents = events.call("step")
    WorkflowEvents = events.call("workflow")

    # The events below "observability.".
    module ObservabilityEvents; end
    ObservabilityEvents.const_set(:Task, events.call("observability", "task"))
    ObservabilityEvents.const_set(:Step, events.call("observability", "step"))

    RegistryEvents = Module.new do
      Events::Names.with_constants.each do |name|
        const_set(name.delete_prefix("registry.").tr(".", "_").upcase, name) if name.match?(/\A(handler|plugin|subscriber)\./)
        const_set(name.tr(".", "_").upcase, name) if name.start_with?("registry.") && !name.match?(/cross|coordination/)
      end
      const_set(:CROSS_REGISTRY_DISCOVERY, "registry.cross_discovery")
      const_set(:REGISTRY_COORDINATION_COMPLETE, "registry.coordination_complete")
    end
  end
end

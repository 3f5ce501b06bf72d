# frozen_string_literal: true

require "monitor"
require "securerandom"
require_relative "domain_events/base_publisher"
require_relative "domain_events/publisher_registry"
require_relative "domain_events/poller"
require_relative "domain_events/base_subscriber"
require_relative "domain_events/subscriber_registry"
require_relative "domain_events/outcome"

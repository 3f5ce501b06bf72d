# frozen_string_literal: true

module ParallelAnalytics
  # Says in words what stands out. The thresholds are in the handler_config.
  class GenerateInsights < Tasker::StepHandler::Base
    def process(_task, sequence, _step)
      metrics = sequence.get_results("aggregate_metrics")
      findings = [best_seller(metrics), concentration(metrics), thin_margin(metrics), newcomers(metrics)].compact
      { headline: headline(metrics), findings: findings }
    end

    private

    def headline(metrics)
      "#{euros(metrics["revenue_cents"])} from #{metrics["orders"]} orders of #{metrics["buyers"]} customers"
    end

    def best_seller(metrics)
      best = metrics["top_products"].first
      "#{best["title"]} earned most: #{euros(best["margin_cents"])} from #{best["sold"]} sold"
    end

    def concentration(metrics)
      best = metrics["top_customers"].first
      part = percent(best["spent_cents"], metrics["revenue_cents"])
      return if part < config[:concentration_percent]

      "#{best["name"]} alone brought #{part} % of the revenue"
    end

    def thin_margin(metrics)
      margin = percent(metrics["margin_cents"], metrics["revenue_cents"])
      return if margin >= config[:low_margin_percent]

      "The margin of #{margin} % is below the #{config[:low_margin_percent]} % that is aimed for"
    end

    def newcomers(metrics)
      return if metrics["new_buyers"].zero?

      "#{metrics["new_buyers"]} of #{metrics["buyers"]} customers are new"
    end

    def percent(part, whole) = part * 100 / whole

    def euros(cents) = format("EUR %<whole>d.%<cents>02d", whole: cents / 100, cents: cents % 100)
  end
end

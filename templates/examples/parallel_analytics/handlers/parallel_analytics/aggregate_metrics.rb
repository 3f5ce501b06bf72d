# frozen_string_literal: true

module ParallelAnalytics
  # Brings the three branches together. Each has counted the same sales in its
  # own way, so their totals have to agree.
  class AggregateMetrics < Tasker::StepHandler::Base
    def process(task, sequence, _step)
      days, customers, products = branches(sequence)
      revenue = agreed_revenue(days, customers, products)
      top = task.context[:top]

      {
        period: task.context.slice(:from, :to),
        revenue_cents: revenue,
        margin_cents: products.sum { |product| product["margin_cents"] },
        orders: customers.sum { |customer| customer["orders"] },
        buyers: customers.size,
        new_buyers: customers.count { |customer| customer["new"] },
        best_day: sequence.get_results("transform_days")["best_day"],
        top_customers: customers.first(top),
        top_products: products.first(top),
        revenue_by_country: revenue_by_country(customers)
      }
    end

    private

    def branches(sequence)
      [
        sequence.get_results("transform_days")["days"],
        sequence.get_results("transform_customers")["customers"],
        sequence.get_results("transform_products")["products"]
      ]
    end

    def agreed_revenue(days, customers, products)
      totals = {
        days: days.values.sum,
        customers: customers.sum { |customer| customer["spent_cents"] },
        products: products.sum { |product| product["revenue_cents"] }
      }
      return totals[:days] if totals.values.uniq.one? && totals[:days].positive?

      raise Tasker::PermanentError.new("the branches do not agree on the revenue, or there is none",
                                       error_code: "INCONSISTENT_TOTALS", context: totals)
    end

    def revenue_by_country(customers)
      customers.group_by { |customer| customer["country"] }
               .transform_values { |them| them.sum { |customer| customer["spent_cents"] } }
               .sort_by { |country, cents| [-cents, country] }.to_h
    end
  end
end

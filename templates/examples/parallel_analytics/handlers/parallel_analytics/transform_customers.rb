# frozen_string_literal: true

module ParallelAnalytics
  # What each customer spent, the best first.
  class TransformCustomers < Tasker::StepHandler::Base
    include Sales

    def process(_task, sequence, _step)
      by_customer = sales(sequence).group_by { |sale| sale.order["customer_id"] }
      customers = sequence.get_results("extract_customers")["records"].filter_map do |customer|
        bought = by_customer[customer["customer_id"]] or next

        customer.merge("orders" => bought.size, "spent_cents" => bought.sum(&:revenue_cents))
      end
      { customers: customers.sort_by { |customer| [-customer["spent_cents"], customer["customer_id"]] } }
    end
  end
end

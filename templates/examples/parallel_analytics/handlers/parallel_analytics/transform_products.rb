# frozen_string_literal: true

module ParallelAnalytics
  # What each product brought in and earned, the best earner first.
  class TransformProducts < Tasker::StepHandler::Base
    include Sales

    def process(_task, sequence, _step)
      products = sales(sequence).group_by(&:product).map do |product, sold|
        {
          sku: product["sku"],
          title: product["title"],
          category: product["category"],
          sold: sold.sum { |sale| sale.order["quantity"] },
          revenue_cents: sold.sum(&:revenue_cents),
          margin_cents: sold.sum(&:margin_cents)
        }
      end
      { products: products.sort_by { |product| [-product[:margin_cents], product[:sku]] } }
    end
  end
end

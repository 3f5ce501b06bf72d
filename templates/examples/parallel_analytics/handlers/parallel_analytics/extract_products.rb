# frozen_string_literal: true

module ParallelAnalytics
  # The products, with what one piece earns.
  class ExtractProducts < Extract
    private

    def record(row, _context)
      price = Integer(row["price_cents"])
      {
        sku: row["sku"],
        title: row["title"],
        category: row["category"],
        price_cents: price,
        margin_cents: price - Integer(row["cost_cents"])
      }
    end
  end
end

# frozen_string_literal: true

module ParallelAnalytics
  # The orders joined with their products: what the transforms start from.
  module Sales
    Sale = Struct.new(:order, :product) do
      def revenue_cents = order["quantity"] * product["price_cents"]
      def margin_cents = order["quantity"] * product["margin_cents"]
    end

    private

    # @return [Array<Sale>]
    def sales(sequence)
      products = sequence.get_results("extract_products")["records"].to_h { |product| [product["sku"], product] }
      sequence.get_results("extract_orders")["records"].map { |order| Sale.new(order, products.fetch(order["sku"])) }
    end
  end
end

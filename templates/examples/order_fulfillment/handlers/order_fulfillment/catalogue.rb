# frozen_string_literal: true

module OrderFulfillment
  # What the shop sells. It stands in for a products table.
  module Catalogue
    Product = Struct.new(:sku, :title, :price_cents, :weight_grams)

    PRODUCTS = [
      Product.new("TEA-001", "Darjeeling, first flush, 100 g", 1890, 130),
      Product.new("TEA-002", "Sencha, 100 g", 1450, 130),
      Product.new("CUP-114", "Stoneware cup", 1290, 320),
      Product.new("POT-020", "Cast iron teapot", 7900, 1650)
    ].to_h { |product| [product.sku, product] }.freeze

    # @raise [KeyError] for a SKU that is not sold
    def self.find(sku)
      PRODUCTS.fetch(sku)
    end
  end
end

# frozen_string_literal: true

module Suite
  # The same models twice.
  module Models
    class << self
      # What callbacks have reported, in order.
      def events
        @events ||= Queue.new
      end

      def told
        Array.new(events.size) { events.pop }
      end

      def bases
        [Ours, Theirs].each do |m|
          next if m.const_defined?(:Base, false)

          m.const_set(:Base, Class.new(ActiveRecord::Base) { self.abstract_class = true })
        end
      end

      def define
        [Ours, Theirs].each { |m| define_in(m) unless m.const_defined?(:Account, false) }
      end

      private

      def model(place, name, table, &body)
        place.const_set(name, Class.new(place::Base))
        place.const_get(name).table_name = table
        place.const_get(name).class_exec(place, &body)
      end

      def define_in(place)
        define_account(place)
        model(place, :Profile, "profiles") { |m| belongs_to :account, class_name: "#{m}::Account", touch: true }
        define_order(place)
        model(place, :Line, "lines") do |m|
          belongs_to :order, class_name: "#{m}::Order", optional: true
        end
        model(place, :Note, "notes") { |_m| belongs_to :subject, polymorphic: true, optional: true }
        place.const_set(:Remark, Class.new(place::Note))
        model(place, :Entry, "journal") { |_m| nil }
        model(place, :Sample, "samples") do |_m|
          attribute :a_mood, :string
        end
      end

      def define_account(place)
        model(place, :Account, "accounts") do |m|
          states = { active: 0, suspended: 1, closed: 2 }
          ActiveRecord::VERSION::MAJOR < 7 ? enum(status: states) : enum(:status, states)
          store_accessor :settings, :theme, :locale
          has_many :orders, -> { order(:number) }, class_name: "#{m}::Order", foreign_key: :account_id, dependent: :destroy
          has_many :lines, through: :orders, class_name: "#{m}::Line"
          has_one :profile, class_name: "#{m}::Profile", foreign_key: :account_id, dependent: :delete
          has_many :notes, class_name: "#{m}::Note", as: :subject
          accepts_nested_attributes_for :orders, allow_destroy: true
          validates :email, presence: true, uniqueness: { case_sensitive: false }
          scope :rich, -> { where("balance >= ?", 100) }
        end
      end

      def define_order(place)
        model(place, :Order, "orders") do |m|
          belongs_to :account, class_name: "#{m}::Account", counter_cache: true
          has_many :lines, class_name: "#{m}::Line", foreign_key: :order_id
          after_create_commit { Models.events << "created #{number}" }
          after_update_commit { Models.events << "updated #{number}" }
          after_destroy_commit { Models.events << "destroyed #{number}" }
          after_rollback { Models.events << "rolled back #{number}" }
        end
      end
    end
  end
end

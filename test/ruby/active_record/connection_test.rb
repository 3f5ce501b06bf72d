# frozen_string_literal: true

class ConnectionTest < Suite::Case
  def test_smoke
    a = Ours::Account.create!(email: "a@example.com")
    assert_equal a, Ours::Account.find_by(email: "A@example.com")
  end
end

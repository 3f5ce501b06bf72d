# frozen_string_literal: true

# Makes the tables, and two accounts if there are none.
Tasker.db.exec(<<~SQL)
  CREATE TABLE IF NOT EXISTS accounts (
    name  text PRIMARY KEY,
    cents bigint NOT NULL CHECK (cents >= 0)
  );
  CREATE TABLE IF NOT EXISTS transfers (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    payer      text NOT NULL REFERENCES accounts,
    payee      text NOT NULL REFERENCES accounts,
    cents      bigint NOT NULL CHECK (cents > 0),
    made_at    timestamptz NOT NULL
  );
  CREATE TABLE IF NOT EXISTS receipts (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    transfer_id bigint NOT NULL UNIQUE REFERENCES transfers,
    body        text NOT NULL
  );
  INSERT INTO accounts VALUES ('ada', 10000), ('ben', 500) ON CONFLICT DO NOTHING;
SQL

-- Who writes each fact. Read by: processors before they write facts, back-fills, cutover, doctor.

-- One row is one change of a fact's writer; the newest counts. Row key: fact, version: since. Only the writer that stands
-- here may write the fact. `latecomer init` adds what is missing, `latecomer cutover` changes it. Read it with FINAL.
CREATE TABLE IF NOT EXISTS attribution_writer
(
    fact   LowCardinality(String),                                   -- the fact's table
    writer LowCardinality(String),                                   -- latecomer, or mv: the view of sql/legacy
    since  DateTime64(3, 'UTC')                                      -- by the clock of the database, always greater
)
ENGINE = ReplacingMergeTree(since)
ORDER BY (fact);

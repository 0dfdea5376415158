-- Logs of many machines as tables, for DuckDB: run it in the folder of the logs, then a query of this folder.
--
--   pip install duckdb-cli
--   cd logs && cat ../examples/sql/duckdb.sql ../examples/sql/leaking_hosts.sql | duckdb
--
-- Each line of a log is one record, and its `type` says which. The names of columns are those of docs/schema.md.
-- `*.jsonl*` finds .gz and .zst too. clickhouse.sql has the same tables, so each query runs on both.
--
-- Each query reads the files again. For many queries load them first:
--   CREATE TABLE loaded AS FROM records; CREATE OR REPLACE VIEW records AS FROM loaded;

CREATE VIEW records AS
SELECT * FROM read_json('*.jsonl*', format = 'newline_delimited', ignore_errors = true, columns = {
    type: 'VARCHAR', host: 'VARCHAR', run: 'VARCHAR', timestamp: 'TIMESTAMPTZ', pid: 'UINTEGER',
    start_ticks: 'UBIGINT', name: 'VARCHAR', cmdline: 'VARCHAR[]', rss_bytes: 'UBIGINT', pss_bytes: 'UBIGINT',
    cpu_ratio: 'DOUBLE', threads: 'JSON', fds: 'UBIGINT', total_rss_bytes: 'UBIGINT', total_pss_bytes: 'UBIGINT',
    cgroup: 'STRUCT(anon_bytes UBIGINT, limit_bytes UBIGINT)', system: 'STRUCT(total_bytes UBIGINT)',
    children: 'STRUCT(pid UINTEGER, start_ticks UBIGINT, name VARCHAR, cmdline VARCHAR[], rss_bytes UBIGINT, pss_bytes UBIGINT, cpu_ratio DOUBLE, threads UBIGINT, fds UBIGINT)[]',
    python: 'JSON', verdict: 'VARCHAR',
    leaks: 'STRUCT(holder VARCHAR, type VARCHAR, objects_per_minute DOUBLE, bytes_per_minute DOUBLE, confidence_ratio DOUBLE, retained_bytes UBIGINT, side_effect_of VARCHAR)[]'
});

-- A row for each process tree and sample. `used_bytes` is what counts against `limit_bytes`: the control group without page cache, or
-- the tree on its machine. `seconds` counts from the start of 2026, so that regressions lose no digits.
CREATE VIEW trees AS
SELECT
    host, run, timestamp AS time, epoch(timestamp) - 1767225600 AS seconds, pid, start_ticks, name,
    coalesce(array_to_string(cmdline, ' '), name) AS command, total_rss_bytes, total_pss_bytes,
    CASE
        WHEN cgroup.limit_bytes IS NOT NULL THEN cgroup.anon_bytes
        WHEN system.total_bytes IS NOT NULL THEN total_rss_bytes
    END AS used_bytes,
    coalesce(cgroup.limit_bytes, system.total_bytes) AS limit_bytes
FROM records WHERE type = 'process';

-- A row for each process and sample: roots and their descendants.
CREATE VIEW processes AS
SELECT host, run, timestamp AS time, pid AS root_pid, pid, start_ticks, name,
    coalesce(array_to_string(cmdline, ' '), name) AS command, rss_bytes, pss_bytes, cpu_ratio, try_cast(threads AS UBIGINT) AS threads, fds
FROM records WHERE type = 'process'
UNION ALL
SELECT host, run, timestamp, pid, child.pid, child.start_ticks, child.name,
    coalesce(array_to_string(child.cmdline, ' '), child.name), child.rss_bytes, child.pss_bytes, child.cpu_ratio, child.threads, child.fds
FROM (SELECT host, run, timestamp, pid, unnest(children) AS child FROM records WHERE type = 'process');

-- A row for each verdict of memobj --leaks.
CREATE VIEW verdicts AS
SELECT host, run, timestamp AS time, pid, start_ticks, name, coalesce(array_to_string(cmdline, ' '), name) AS command,
    python ->> '$' AS python, verdict
FROM records WHERE type = 'leaks';

-- A row for each leak that they name.
CREATE VIEW leaks AS
SELECT host, run, time, pid, start_ticks, name, command, python, leak.holder AS holder, leak.type AS type,
    leak.objects_per_minute AS objects_per_minute, leak.bytes_per_minute AS bytes_per_minute,
    leak.confidence_ratio AS confidence_ratio, leak.retained_bytes AS retained_bytes
FROM (
    SELECT host, run, timestamp AS time, pid, start_ticks, name, coalesce(array_to_string(cmdline, ' '), name) AS command,
        python ->> '$' AS python, unnest(leaks) AS leak
    FROM records WHERE type = 'leaks'
)
WHERE leak.side_effect_of IS NULL;

-- Reads logs of memmon and memobj with DuckDB: duckdb < examples/read_log.sql
--
-- Each line of a log is one record; the first field says which type. A log may hold several types, so each query filters by it.
-- `read_json` takes a glob, so the logs of many machines are one table.

-- How much each process tree grew, host by host.
SELECT
    host,
    pid,
    arg_min(total_rss_bytes, timestamp) AS first_bytes,
    arg_max(total_rss_bytes, timestamp) AS last_bytes,
    last_bytes - first_bytes AS growth_bytes
FROM read_json('*.jsonl', format = 'newline_delimited', union_by_name = true, ignore_errors = true)
WHERE type = 'process'
GROUP BY host, pid
ORDER BY growth_bytes DESC;

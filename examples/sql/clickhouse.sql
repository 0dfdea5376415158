-- Logs of many machines as tables, for ClickHouse: run it in the folder of the logs, then a query of this folder.
--
--   cd logs && cat ../examples/sql/clickhouse.sql ../examples/sql/leaking_hosts.sql | clickhouse local
--
-- It makes the same tables as duckdb.sql. Each query reads the files again. For many queries load them first:
--   CREATE TABLE loaded ENGINE = MergeTree PARTITION BY toDate(timestamp) ORDER BY (type, host, timestamp) AS SELECT * FROM records;
--   CREATE OR REPLACE VIEW records AS SELECT * FROM loaded;
--
-- On a cluster only this changes: `loaded` is a ReplicatedMergeTree on each shard, and `records` reads a Distributed table over it with
-- the sharding key cityHash64(host). All rows of a host are then on one shard, so set distributed_product_mode = 'local' for joins.

CREATE VIEW records AS
SELECT *, parseDateTime64BestEffort(stamp, 3, 'UTC') AS timestamp
FROM (
    SELECT * EXCEPT (timestamp), timestamp AS stamp
    FROM file('*.jsonl*', 'JSONEachRow', 'type String, host String, run String, timestamp String, pid UInt32,
        start_ticks Nullable(UInt64), name Nullable(String), cmdline Array(String), rss_bytes Nullable(UInt64),
        pss_bytes Nullable(UInt64), cpu_ratio Nullable(Float64), threads Nullable(String), fds Nullable(UInt64),
        total_rss_bytes Nullable(UInt64), total_pss_bytes Nullable(UInt64),
        cgroup Tuple(anon_bytes Nullable(UInt64), limit_bytes Nullable(UInt64)), system Tuple(total_bytes Nullable(UInt64)),
        children Array(Tuple(pid UInt32, start_ticks Nullable(UInt64), name Nullable(String), cmdline Array(String),
            rss_bytes Nullable(UInt64), pss_bytes Nullable(UInt64), cpu_ratio Nullable(Float64), threads Nullable(UInt64),
            fds Nullable(UInt64))),
        python String, verdict String,
        leaks Array(Tuple(holder String, type String, objects_per_minute Float64, bytes_per_minute Float64,
            confidence_ratio Float64, retained_bytes Nullable(UInt64), side_effect_of Nullable(String)))')
    SETTINGS input_format_skip_unknown_fields = 1, input_format_json_read_objects_as_strings = 1,
        input_format_json_read_arrays_as_strings = 1, input_format_json_read_numbers_as_strings = 1
);

-- A row for each process tree and sample. `used_bytes` is what counts against `limit_bytes`: the control group without page cache, or
-- the tree on its machine. `seconds` counts from the start of 2026, so that regressions lose no digits.
CREATE VIEW trees AS
SELECT
    host, run, timestamp AS time, toUnixTimestamp64Milli(timestamp) / 1000 - 1767225600 AS seconds, pid, start_ticks, name,
    if(empty(cmdline), name, arrayStringConcat(cmdline, ' ')) AS command, total_rss_bytes, total_pss_bytes,
    CASE
        WHEN cgroup.limit_bytes IS NOT NULL THEN cgroup.anon_bytes
        WHEN system.total_bytes IS NOT NULL THEN total_rss_bytes
    END AS used_bytes,
    coalesce(cgroup.limit_bytes, system.total_bytes) AS limit_bytes
FROM records WHERE type = 'process';

-- A row for each process and sample: roots and their descendants.
CREATE VIEW processes AS
SELECT host, run, timestamp AS time, pid AS root_pid, pid, start_ticks, name,
    if(empty(cmdline), name, arrayStringConcat(cmdline, ' ')) AS command, rss_bytes, pss_bytes, cpu_ratio,
    toUInt64OrNull(threads) AS threads, fds
FROM records WHERE type = 'process'
UNION ALL
SELECT host, run, timestamp, pid, child.pid, child.start_ticks, child.name,
    if(empty(child.cmdline), child.name, arrayStringConcat(child.cmdline, ' ')), child.rss_bytes, child.pss_bytes,
    child.cpu_ratio, child.threads, child.fds
FROM records ARRAY JOIN children AS child WHERE type = 'process';

-- A row for each verdict of memobj --leaks.
CREATE VIEW verdicts AS
SELECT host, run, timestamp AS time, pid, start_ticks, name, if(empty(cmdline), name, arrayStringConcat(cmdline, ' ')) AS command,
    python, verdict
FROM records WHERE type = 'leaks';

-- A row for each leak that they name.
CREATE VIEW leaks AS
SELECT host, run, timestamp AS time, pid, start_ticks, name, if(empty(cmdline), name, arrayStringConcat(cmdline, ' ')) AS command,
    python, leak.holder AS holder, leak.type AS type, leak.objects_per_minute AS objects_per_minute,
    leak.bytes_per_minute AS bytes_per_minute, leak.confidence_ratio AS confidence_ratio, leak.retained_bytes AS retained_bytes
FROM (SELECT * EXCEPT (type) FROM records WHERE type = 'leaks') ARRAY JOIN leaks AS leak
WHERE leak.side_effect_of IS NULL;

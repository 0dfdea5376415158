-- Which version began a leak? Each version of a program with the share of its hosts that leak; the oldest version first.
-- The logs do not say which version a program has. So this needs a table of deployments, `releases`, with the columns host, time
-- and version:
--   DuckDB      CREATE VIEW releases AS SELECT * FROM read_csv('releases.csv', types = {'time': 'TIMESTAMPTZ', 'version': 'VARCHAR'});
--   ClickHouse  CREATE VIEW releases AS SELECT * FROM file('releases.csv', 'CSVWithNames', 'host String, time DateTime64(3, \'UTC\'), version String');
WITH
judged AS (
    SELECT verdicts.host AS host, releases.version AS version, releases.time AS released
    FROM verdicts ASOF JOIN releases ON verdicts.host = releases.host AND verdicts.time >= releases.time
    WHERE verdicts.verdict <> 'too_short'
),
checked AS (
    SELECT version, min(released) AS first_released, count(DISTINCT host) AS checked_hosts FROM judged GROUP BY version
),
found AS (
    SELECT leaks.host AS host, leaks.holder AS holder, releases.version AS version
    FROM leaks ASOF JOIN releases ON leaks.host = releases.host AND leaks.time >= releases.time
),
leaking AS (
    SELECT holder, version, count(DISTINCT host) AS leaking_hosts FROM found GROUP BY holder, version
)
SELECT
    leaking.holder AS holder, checked.version AS version, checked.first_released AS released,
    checked.checked_hosts AS checked_hosts, leaking.leaking_hosts AS leaking_hosts
FROM checked JOIN leaking ON checked.version = leaking.version
ORDER BY holder, released
LIMIT 100;

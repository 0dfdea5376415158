-- Which holder is common to the hosts that leak? One bug on many hosts comes first.
SELECT
    holder, type, count(DISTINCT host) AS hosts, round(median(bytes_per_minute) * 1440) AS median_bytes_per_day,
    round(max(bytes_per_minute) * 1440) AS max_bytes_per_day, min(time) AS first_seen
FROM leaks
GROUP BY holder, type
ORDER BY hosts DESC, max_bytes_per_day DESC
LIMIT 20;

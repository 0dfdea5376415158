-- When is memory full? A straight line through the memory of each process tree, up to the limit of its control group, or the memory
-- of its machine. Trees with less than an hour and ten samples have no row. It holds for growth that goes on as it did; memdiff --trend judges whether it does.
WITH trend AS (
    SELECT
        host, pid, start_ticks, max(command) AS command, regr_slope(used_bytes, seconds) AS bytes_per_second,
        argMax(used_bytes, time) AS last_bytes, max(limit_bytes) AS full_bytes, max(seconds) - min(seconds) AS observed_seconds
    FROM trees
    GROUP BY host, pid, start_ticks
    HAVING count(used_bytes) >= 10
)
SELECT
    host, pid, last_bytes, full_bytes, round(bytes_per_second * 86400) AS bytes_per_day,
    round((full_bytes - last_bytes) / bytes_per_second / 3600, 1) AS hours_left, command
FROM trend
WHERE bytes_per_second > 0 AND observed_seconds > 3600 AND full_bytes >= last_bytes
ORDER BY hours_left, host
LIMIT 100;

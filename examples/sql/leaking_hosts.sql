-- Which hosts leak? The leaks of the newest verdict on each program, fastest first.
WITH newest AS (SELECT host, command, max(time) AS time FROM verdicts WHERE verdict <> 'too_short' GROUP BY host, command)
SELECT
    leaks.host AS host, leaks.pid AS pid, leaks.holder AS holder, leaks.type AS type,
    round(leaks.bytes_per_minute * 1440) AS bytes_per_day, round(leaks.confidence_ratio, 3) AS confidence_ratio,
    leaks.command AS command
FROM leaks
JOIN newest ON leaks.host = newest.host AND leaks.command = newest.command AND leaks.time = newest.time
ORDER BY bytes_per_day DESC, host, holder
LIMIT 100;

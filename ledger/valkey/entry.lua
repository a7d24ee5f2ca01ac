-- One journal entry, and how often it was given since, by all hosts.
--
-- KEYS  1 e entry, n further refusals, l the latest, o "0": one was not observed only, p port, s sender
-- ARGV  1 put: 2 entry, 3 milliseconds to keep it
--       1 again: 2 times, 3 the latest (Unix microseconds), 4 "1": observed only, 5 port, 6 sender
--
-- put may be repeated. again may not, and nobody does: it is bookkeeping.
local key = KEYS[1]
if ARGV[1] == 'put' then
	if redis.call('HSETNX', key, 'e', ARGV[2]) == 1 then redis.call('PEXPIRE', key, ARGV[3]) end
	return 1
end
if redis.call('EXISTS', key) == 0 then return 0 end
redis.call('HINCRBY', key, 'n', ARGV[2])
if tonumber(ARGV[3]) > tonumber(redis.call('HGET', key, 'l') or '0') then redis.call('HSET', key, 'l', ARGV[3]) end
if ARGV[4] ~= '1' then redis.call('HSET', key, 'o', '0') end
if ARGV[5] ~= '0' then redis.call('HSET', key, 'p', ARGV[5]) end
if ARGV[6] ~= '' then redis.call('HSET', key, 's', ARGV[6]) end
return 1

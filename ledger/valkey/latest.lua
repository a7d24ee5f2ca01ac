-- When each of several was last seen: the POP logins of an address, the addresses of
-- a login.
--
-- KEYS  1 member -> time
-- ARGV  1 now, empty: the server's clock   2 how long it matters   3 how many are kept
--       4 time and 5 member; without them, only times of the future are mended
--
-- Times are microseconds. The latest time wins, so it may be told again.
local key, keep, most = KEYS[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local AHEAD = 60000000 -- as in the ledger

local function text(n) return string.format('%.0f', n) end

local now = tonumber(ARGV[1])
if not now then
	local t = redis.call('TIME')
	now = t[1] * 1000000 + t[2]
end
-- What a clock that was set back has left in the future happened just now.
for _, member in ipairs(redis.call('ZRANGEBYSCORE', key, '(' .. text(now + AHEAD), '+inf')) do
	redis.call('ZADD', key, text(now), member)
end
local at = math.min(tonumber(ARGV[4] or '0'), now)
if ARGV[5] and now - at < keep then
	redis.call('ZADD', key, 'GT', text(at), ARGV[5])
	redis.call('ZREMRANGEBYSCORE', key, '-inf', text(now - keep))
	redis.call('ZREMRANGEBYRANK', key, 0, -most - 1)
	redis.call('PEXPIRE', key, text((keep + AHEAD) / 1000))
end
return text(now)

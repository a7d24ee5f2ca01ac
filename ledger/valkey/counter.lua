-- The failed logins of one client, or of one login, within a sliding window.
--
-- KEYS  1 failures: member -> time   2 state: b block's id, s its begin, c cleared at
--       3 blocks of the bucket: name -> until   4 feed of the bucket
-- ARGV  1 add, look, begin or clear   2 now, empty: the server's clock   3 name
--       4 limit   5 window   6 "1": a repeated password counts once   7 how long a failure matters
--       add: 8 age of the failure, 9 of its being told, 10 member
--       begin: 8 id, 9 age of the begin   clear: 8 age
--
-- Times are microseconds. A member is 1 byte that tells whether it counts, 8 of the
-- event's id, 8 that are equal for the same password of the same login (zero: none),
-- and what only the hosts read. Every operation may be repeated: it changes nothing then.
local failures, state, blocks, feed = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local op, name = ARGV[1], ARGV[3]
local limit, window, once, keep = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6] == '1', tonumber(ARGV[7])
local AHEAD = 60000000 -- how far in the future a time may be, as in the ledger
local EXTRA = 16       -- failures beyond what the limit needs, as in the ledger
local NEWS = 1000      -- changes of a bucket that a host may miss
local NONE = string.rep('\0', 8)

local function text(n) return string.format('%.0f', n) end

local now = tonumber(ARGV[2])
if not now then
	local t = redis.call('TIME')
	now = t[1] * 1000000 + t[2]
end

-- What a clock that was set back has left in the future happened just now.
local list, moved = {}, false
local raw = redis.call('ZRANGE', failures, 0, -1, 'WITHSCORES')
for i = 1, #raw, 2 do
	local f = { member = raw[i], at = tonumber(raw[i + 1]) }
	if f.at > now + AHEAD then
		f.at, moved = now, true
		if op ~= 'look' then redis.call('ZADD', failures, text(now), f.member) end
	end
	if now - f.at < keep then list[#list + 1] = f end
end
local function sort() table.sort(list, function(a, b) return a.at < b.at end) end
if moved then sort() end

local function counts(f) return string.sub(f.member, 1, 1) == '1' end
local function id(member) return string.sub(member, 2, 9) end
local function same(f) return string.sub(f.member, 10, 17) end

-- count is the failures within the window, and when it will have fallen to the limit.
-- Of one password that is repeated the latest stands for all.
local function count()
	local n, till, seen = 0, 0, {}
	for i = #list, 1, -1 do
		local f = list[i]
		if counts(f) then
			local again = once and same(f) ~= NONE and seen[same(f)]
			seen[same(f)] = true
			if not again and now - f.at < window then
				n = n + 1
				if n == limit + 1 then till = f.at + window end
			end
		end
	end
	return n, till
end

local s = redis.call('HMGET', state, 'b', 's', 'c')
local block, since, cleared = s[1] or '', s[2] or '0', tonumber(s[3] or '0')
if cleared > now + AHEAD then cleared = now end
local n, till = count()
if block ~= '' and n <= limit then -- it is over: the next one is new
	if op ~= 'look' then redis.call('HDEL', state, 'b', 's') end
	block, since = '', '0'
end

local function drop(i)
	redis.call('ZREM', failures, list[i].member)
	table.remove(list, i)
end

-- trim drops what no count can need. Those that do not count have a bound of their
-- own, or a guesser could push the others out with them.
local function trim(counted)
	local extra, seen = -EXTRA, {}
	if counted then extra = extra - limit - 1 end
	for i = #list, 1, -1 do
		local f = list[i]
		if counts(f) == counted then
			if once and counted and same(f) ~= NONE and seen[same(f)] then
				drop(i)
			else
				seen[same(f)] = true
				extra = extra + 1
			end
		end
	end
	local i = 1
	while extra > 0 do
		if counts(list[i]) == counted then
			drop(i)
			extra = extra - 1
		else
			i = i + 1
		end
	end
end

local function expire(key) redis.call('PEXPIRE', key, text((keep + AHEAD) / 1000)) end
local function tell() redis.call('XADD', feed, 'MAXLEN', '~', NEWS, '*', 'f', name) end

local function known(member)
	for _, f in ipairs(list) do
		if id(f.member) == id(member) then return true end
	end
	return false
end

if op == 'add' then
	local member, at, told = ARGV[10], now - tonumber(ARGV[8]), now - tonumber(ARGV[9])
	if told >= cleared and now - at < keep and not known(member) then
		redis.call('ZREMRANGEBYSCORE', failures, '-inf', text(now - keep))
		redis.call('ZADD', failures, text(at), member)
		list[#list + 1] = { member = member, at = at }
		sort()
		trim(string.sub(member, 1, 1) == '1')
		expire(failures)
		if block ~= '' then expire(state) end
		n, till = count()
		if n > limit then
			redis.call('ZREMRANGEBYSCORE', blocks, '-inf', text(now))
			redis.call('ZADD', blocks, text(till), name)
			expire(blocks)
			tell()
		end
	end
elseif op == 'begin' then
	if n > limit and block == '' then
		block, since = ARGV[8], text(now - tonumber(ARGV[9]))
		redis.call('HSET', state, 'b', block, 's', since)
		expire(state)
		tell()
	end
end

local reply = { text(now), text(cleared), block, since, text(n), text(till) }
for _, f in ipairs(list) do
	reply[#reply + 1] = f.member
	reply[#reply + 1] = text(f.at)
end

if op == 'clear' then -- the reply has what was cleared
	local at = now - tonumber(ARGV[8])
	redis.call('ZREMRANGEBYSCORE', failures, '-inf', text(at))
	redis.call('ZREM', blocks, name)
	redis.call('HDEL', state, 'b', 's')
	redis.call('HSET', state, 'c', text(math.max(at, cleared)))
	expire(state)
	if #list > 0 or block ~= '' then tell() end
end
return reply

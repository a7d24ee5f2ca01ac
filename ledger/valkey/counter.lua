-- The failed logins of one client, or of one login, within a sliding window.
--
-- KEYS  1 failures   2 blocks of the bucket: name -> until   3 feed of the bucket
-- ARGV  1 add, look, begin or clear   2 now, empty: the server's clock   3 name
--       4 limit   5 window   6 "1": a repeated password counts once   7 how long a failure matters
--       add: 8 time of the failure, 9 of its being told, 10 member
--       begin: 8 id, 9 time of the begin   clear: 8 time, 9 "1": it may be told again
--
-- Times are microseconds. The failures are one string, read and written as a whole: "1",
-- when they were cleared, when the block began, its id after its length; then each one's
-- time and, after its length, its member: 1 byte that tells whether it counts, 8 of the
-- event's id, 4 that are equal for the same password of the same login (zero: none), and
-- what only the hosts read. Every operation may be repeated: it changes nothing then.
local key, blocks, feed = KEYS[1], KEYS[2], KEYS[3]
local op, name = ARGV[1], ARGV[3]
local limit, window, once, keep = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6] == '1', tonumber(ARGV[7])
local AHEAD = 60000000 -- how far in the future a time may be, as in the ledger
local EXTRA = 16       -- failures beyond what the limit needs, as in the ledger
local NEWS = 1000      -- changes of a bucket that a host may miss
local NONE = string.rep('\0', 4)
local AGAIN = 50000    -- how much a host's clock may have moved between two tellings

local function text(n) return string.format('%.0f', n) end

local now = tonumber(ARGV[2])
if not now then
	local t = redis.call('TIME')
	now = t[1] * 1000000 + t[2]
end

-- What a clock that was set back has left in the future happened just now.
local list, block, since, cleared, changed = {}, '', 0, 0, false
local value = redis.call('GET', key)
if value then
	if string.sub(value, 1, 1) ~= '1' then
		return redis.error_reply('ERR ' .. key .. ' is not of this version of portreeve')
	end
	local pos
	cleared, since, block, pos = struct.unpack('>I8I8Bc0', value, 2)
	while pos <= #value do
		local f = {}
		f.at, f.member, pos = struct.unpack('>I8I2c0', value, pos)
		if f.at > now + AHEAD then f.at, changed = now, true end
		if now - f.at < keep then list[#list + 1] = f end
	end
	if cleared > now + AHEAD then cleared = now end
end
local function past(text) return math.min(tonumber(text), now) end
local function sort() table.sort(list, function(a, b) return a.at < b.at end) end
if changed then sort() end

local function counts(f) return string.sub(f.member, 1, 1) == '1' end
local function id(member) return string.sub(member, 2, 9) end
local function same(f) return string.sub(f.member, 10, 13) end

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

local n, till = count()
if block ~= '' and n <= limit then block, since = '', 0 end -- it is over: the next one is new

-- trim drops what no count can need. Those that do not count have a bound of their
-- own, or a guesser could push the others out with them.
local function trim(counted)
	local extra, seen = -EXTRA, {}
	if counted then extra = extra - limit - 1 end
	for i = #list, 1, -1 do
		local f = list[i]
		if counts(f) == counted then
			if once and counted and same(f) ~= NONE and seen[same(f)] then
				table.remove(list, i)
			else
				seen[same(f)] = true
				extra = extra + 1
			end
		end
	end
	local i = 1
	while extra > 0 do
		if counts(list[i]) == counted then
			table.remove(list, i)
			extra = extra - 1
		else
			i = i + 1
		end
	end
end

local function known(member)
	for _, f in ipairs(list) do
		if id(f.member) == id(member) then return true end
	end
	return false
end

local reply
local function answer()
	reply = { text(now), text(cleared), block, text(since), text(n), text(till) }
	for _, f in ipairs(list) do
		reply[#reply + 1] = f.member
		reply[#reply + 1] = text(f.at)
	end
end

local news = false -- others should know
if op == 'add' then
	local member, at, told = ARGV[10], past(ARGV[8]), past(ARGV[9])
	if told >= cleared and now - at < keep and not known(member) then
		list[#list + 1] = { member = member, at = at }
		sort()
		trim(string.sub(member, 1, 1) == '1')
		n, till = count()
		changed, news = true, n > limit
	end
elseif op == 'begin' then
	if n > limit and block == '' then
		block, since = ARGV[8], past(ARGV[9])
		changed, news = true, true
	end
elseif op == 'clear' then
	answer() -- what was cleared
	local at = past(ARGV[8])
	if ARGV[9] ~= '1' or at > cleared + AGAIN then
		local left = {}
		for _, f in ipairs(list) do
			if f.at > at then left[#left + 1] = f end
		end
		news = #list > 0 or block ~= ''
		list, cleared, changed = left, math.max(at, cleared), true
		n, till = count()
		-- Told late: a block that has begun since is another one.
		if n <= limit or since <= at then block, since = '', 0 end
	end
end
if not reply then answer() end

if changed then
	local parts = { '1', struct.pack('>I8I8Bc0', cleared, since, #block, block) }
	for _, f in ipairs(list) do
		parts[#parts + 1] = struct.pack('>I8I2c0', f.at, #f.member, f.member)
	end
	-- A server that is full refuses this, and so everything.
	redis.call('SET', key, table.concat(parts), 'PX', text((keep + AHEAD) / 1000))
end
if news then
	if n > limit then
		redis.call('ZADD', blocks, text(till), name)
		redis.call('ZREMRANGEBYSCORE', blocks, '-inf', text(now))
		redis.call('PEXPIRE', blocks, text((keep + AHEAD) / 1000))
	else
		redis.call('ZREM', blocks, name)
	end
	redis.call('XADD', feed, 'MAXLEN', '~', NEWS, '*', 'f', name)
end
return reply

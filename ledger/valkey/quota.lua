-- What one account has sent within the hour, to the minute, and what is under way.
--
-- KEYS  1 used: minute -> "messages recipients", x -> reset at, i -> the reset's name   2 open: message -> "recipients expires"
--       3 done: message -> time   4 feed of the bucket
-- ARGV  1 look, reserve, commit, release, charge or reset   2 now, empty: the server's clock   3 login
--       4, 5 limits of messages and recipients, 0: none   6 "1": take a place even where there is none
--       7 message, or reset   8 its recipients
--       reserve: 9 for how long   commit, reset: 9 time   charge: 9 the message's reservation, or empty
--
-- Times are microseconds. A message is known by its name on all hosts, and charged once.
local used, open, done, feed = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local op, login, always = ARGV[1], ARGV[3], ARGV[6] == '1'
local most_messages, most_recipients = tonumber(ARGV[4]), tonumber(ARGV[5])
local message, recipients = ARGV[7], tonumber(ARGV[8])
local MINUTE, HOUR, NEWS = 60000000, 3600000000, 1000

local function text(n) return string.format('%.0f', n) end

local now = tonumber(ARGV[2])
if not now then
	local t = redis.call('TIME')
	now = t[1] * 1000000 + t[2]
end
local this, reset, last_reset = math.floor(now / MINUTE), 0, nil

-- Minutes of the future are from before the clock was set back: they count as now.
local used_messages, used_recipients = 0, 0
local raw = redis.call('HGETALL', used)
for i = 1, #raw, 2 do
	if raw[i] == 'x' then
		reset = math.min(tonumber(raw[i + 1]), now)
	elseif raw[i] == 'i' then
		last_reset = raw[i + 1]
	else
		local at = tonumber(raw[i])
		local m, r = string.match(raw[i + 1], '(%d+) (%d+)')
		if at <= this - 60 then
			if op ~= 'look' then redis.call('HDEL', used, raw[i]) end
		else
			used_messages, used_recipients = used_messages + m, used_recipients + r
			if at > this and op ~= 'look' then
				redis.call('HDEL', used, raw[i])
				local om, ors = string.match(redis.call('HGET', used, text(this)) or '0 0', '(%d+) (%d+)')
				redis.call('HSET', used, text(this), text(om + m) .. ' ' .. text(ors + r))
			end
		end
	end
end

-- What a host that died had reserved expires.
local open_messages, open_recipients, mine = 0, 0, nil
raw = redis.call('HGETALL', open)
for i = 1, #raw, 2 do
	local r, expires = string.match(raw[i + 1], '(%d+) (%d+)')
	if tonumber(expires) <= now or tonumber(expires) > now + 2 * HOUR then
		if op ~= 'look' then redis.call('HDEL', open, raw[i]) end
	else
		open_messages, open_recipients = open_messages + 1, open_recipients + r
		if raw[i] == message or (op == 'charge' and raw[i] == ARGV[9]) then mine = tonumber(r) end
	end
end

-- full tells whether the message with so many recipients has no place beside the others.
local function full(n)
	local m, r = used_messages + open_messages, used_recipients + open_recipients
	if mine then m, r = m - 1, r - mine end
	return most_messages > 0 and m + 1 > most_messages or most_recipients > 0 and r + n > most_recipients
end

local function take(at)
	local minute = text(math.floor(at / MINUTE))
	local m, r = string.match(redis.call('HGET', used, minute) or '0 0', '(%d+) (%d+)')
	redis.call('HSET', used, minute, text(m + 1) .. ' ' .. text(r + recipients))
	redis.call('PEXPIRE', used, text(2 * HOUR / 1000))
	redis.call('ZREMRANGEBYSCORE', done, '-inf', text(now - 2 * HOUR))
	redis.call('ZADD', done, text(now), message)
	redis.call('PEXPIRE', done, text(2 * HOUR / 1000))
end

local is_full, again = false, false
if op == 'reserve' then
	is_full = full(recipients)
	if redis.call('ZSCORE', done, message) then
		is_full = false -- it came late: the message has been charged
	elseif not is_full or always then
		redis.call('HSET', open, message, text(math.max(recipients, mine or 0)) .. ' ' .. text(now + tonumber(ARGV[9])))
		redis.call('PEXPIRE', open, text(2 * HOUR / 1000))
	end
elseif op == 'commit' then
	-- First what a server that is full refuses: it lets a script finish that has begun.
	local at = math.min(tonumber(ARGV[9]), now)
	if not redis.call('ZSCORE', done, message) and now - at < HOUR and at >= reset then take(at) end
	redis.call('HDEL', open, message)
elseif op == 'release' then
	redis.call('HDEL', open, message)
elseif op == 'charge' then
	again = redis.call('ZSCORE', done, message) and true or false
	is_full = not again and full(recipients)
	if not again and (not is_full or always) then
		take(now)
		if ARGV[9] ~= '' then redis.call('HDEL', open, ARGV[9]) end
	end
elseif op == 'reset' then
	-- Told again, it changes nothing; told late, it leaves what was sent in later minutes.
	local at = math.min(tonumber(ARGV[9]), now)
	if message ~= last_reset and at > reset then
		for _, field in ipairs(redis.call('HKEYS', used)) do
			local minute = tonumber(field)
			if minute and minute <= math.floor(at / MINUTE) then redis.call('HDEL', used, field) end
		end
		redis.call('HSET', used, 'x', text(at), 'i', message)
		redis.call('PEXPIRE', used, text(2 * HOUR / 1000))
		redis.call('XADD', feed, 'MAXLEN', '~', NEWS, '*', 'q', login)
	end
elseif mine then -- a look of the message itself
	is_full = full(recipients)
else
	is_full = full(1)
end
return { text(now), is_full and '1' or '0', again and '1' or '0',
	text(used_messages), text(used_recipients), text(open_messages), text(open_recipients) }

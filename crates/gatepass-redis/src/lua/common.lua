-- The beginning of most scripts. KEYS[1] is the partition's `meta`. ARGV[1] is the time, or nothing
-- for the server's.
--
-- A session is one string, so that a refresh reads one value and writes a part of it. It begins
-- with doubles, of which -1 means none. The doubles that a refresh changes come first. The last
-- three are the newest version of its rights, the first valid version, and the number of the log
-- entry that says so. Then follow the id of its account and, in lines, the client, the issuer, the
-- audience, the reason of its end, the device and the identity.
--
-- An account is also one string. Its doubles are the number of its last session, the latest
-- absolute end of all sessions, the number up to which sessions have ended, the exception, the time
-- of that end, and the number of the log entry that says so. Then follows the reason.
local STATE, OWNER, LINES = '<ddddddddddddddddd', 137, 169
local ACCOUNT, REASON = '<dddddd', 49
-- Digits of an instant in a member of `begun`, which sorts the sessions by beginning and id.
local INSTANT = 15
local MARGIN, DAY, JITTER, MAX = 600000, 86400000, 10000, 253402300799000
local prefix = string.sub(KEYS[1], 1, -5)

local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end

-- The time of a session that was seen at `seen`: it ignores small steps back of the clock.
local function time_of(seen)
  if now < seen and seen - now <= JITTER then
    return seen
  end
  return now
end

-- `instant` plus `millis`, at most the end of the year 9999.
local function after(instant, millis)
  return math.min(instant + millis, MAX)
end

-- Lets `key` expire a day after `instant`, but never earlier than before. This removes keys that no
-- purge removes. The time to live is relative, because tests set the time.
local function keep(key, instant)
  local millis = math.max(instant - now, 0) + DAY
  if redis.call('PEXPIRE', key, millis, 'NX') == 0 then
    redis.call('PEXPIRE', key, millis, 'GT')
  end
end

-- Fails before the script writes anything if a cluster is moving some keys of a partition to
-- another node, and has not moved the others.
local function together(keys)
  for first = 1, #keys, 1000 do
    redis.call('EXISTS', KEYS[1], unpack(keys, first, math.min(first + 999, #keys)))
  end
end

-- A number as text, for ranges and for the log.
local function digits(number)
  return string.format('%.0f', number)
end

-- A session as a member of `begun`.
local function begun_at(instant, id)
  return string.format('%0' .. INSTANT .. '.0f', instant) .. id
end

-- The account with this id: its row, or nothing, and the numbers in it.
local function account_of(id)
  local row = redis.call('GET', prefix .. 'account:' .. id)
  if row then
    return row, struct.unpack(ACCOUNT, row)
  end
  return nil, 0, 0, -1, -1, -1, 0
end

-- `Account::covers`, for the row of a session.
local function is_covered(row)
  local _, _, _, up_to, except = account_of(string.sub(row, OWNER, LINES - 1))
  local number = struct.unpack('<d', row, 105)
  return number <= up_to and number ~= except
end

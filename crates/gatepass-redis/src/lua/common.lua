-- What most scripts begin with. KEYS[1] is the partition's `meta`, ARGV[1] the time, or nothing for the server's.
--
-- A session is one string, so that a refresh reads one value and writes a part of it. It begins with doubles, where -1 is
-- none, and of these with those that a refresh changes. The last three are the newest version of its rights, the first one
-- that is good, and the number of the entry in the log that says so. The id of its account follows, and in lines the client, the issuer,
-- the audience, the reason of its end, the device and the identity.
--
-- An account is one string as well: as doubles the number of its last session, the latest absolute end of all of them,
-- up to which number sessions are over, except which one, since when, and the number of the entry in the log that says so;
-- and the reason.
local STATE, OWNER, LINES = '<ddddddddddddddddd', 137, 169
local ACCOUNT, REASON = '<dddddd', 49
-- Digits of an instant in a member of `begun`, which has the sessions in the order of their beginnings and ids.
local INSTANT = 15
local MARGIN, DAY, JITTER, MAX = 600000, 86400000, 10000, 253402300799000
local prefix = string.sub(KEYS[1], 1, -5)

local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end

-- The time of a session that was seen at `seen`: its clock does not go back by a little.
local function time_of(seen)
  if now < seen and seen - now <= JITTER then
    return seen
  end
  return now
end

-- `instant` and some time, which ends with the year 9999.
local function after(instant, millis)
  return math.min(instant + millis, MAX)
end

-- Lets `key` expire a day after `instant` and never earlier than it would anyway: the net beneath the purge.
-- Relative, since the time may be the tests'.
local function keep(key, instant)
  local millis = math.max(instant - now, 0) + DAY
  if redis.call('PEXPIRE', key, millis, 'NX') == 0 then
    redis.call('PEXPIRE', key, millis, 'GT')
  end
end

-- Fails, before anything is written, where some of the keys of a partition are just being moved to another node of its
-- cluster and others are not.
local function together(keys)
  for first = 1, #keys, 1000 do
    redis.call('EXISTS', KEYS[1], unpack(keys, first, math.min(first + 999, #keys)))
  end
end

-- A number as it is written in ranges and in the log.
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

-- `Account::covers`, of a session by its row.
local function is_covered(row)
  local _, _, _, up_to, except = account_of(string.sub(row, OWNER, LINES - 1))
  local number = struct.unpack('<d', row, 105)
  return number <= up_to and number ~= except
end

-- What most scripts begin with. KEYS[1] is the partition's `meta`, ARGV[1] the time, or nothing for the server's.
--
-- A session is one string, so that a refresh reads one value and writes a part of it: first, as doubles, all that is
-- reckoned with, where -1 is none, and of that first what a refresh changes; then in lines the client, the subject, why it has ended, the device and the grant.
local STATE, STATE_LENGTH = '<dddddddddddddd', 112
local MARGIN, DAY, MAX = 600000, 86400000, 253402300799000
local prefix = string.sub(KEYS[1], 1, -5)

local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
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

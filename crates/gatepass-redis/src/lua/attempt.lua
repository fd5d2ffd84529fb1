-- The beginning of the scripts for login attempts. A record is one string of doubles: when all of
-- its attempts are forgotten, the time of the last attempt, the earliest time of the next one, and
-- until when its pair is known.
-- ARGV[2], as doubles: the free attempts of a pair, a name and an address, the first delay, the
-- longest delay, how long a pair is known, and how many attempts count beyond the free ones.
local free_pair, free_name, free_address, first, longest, known_for, beyond = struct.unpack('<ddddddd', ARGV[2])

local function record_of(id)
  local key = prefix .. 'attempt:' .. id
  local row = redis.call('GET', key)
  local record = { key = key, time = now, forgotten = 0, counted = 0, next = 0, known = 0 }
  if row then
    record.forgotten, record.counted, record.next, record.known = struct.unpack('<dddd', row)
    record.found = true
    -- `AttemptRecord::at`.
    record.time = time_of(record.counted)
    if record.time < record.counted then
      record.forgotten, record.counted, record.next = 0, 0, 0
    end
  end
  return record
end

-- The records of the pair, the name and the address. Without an address, only the name. The script
-- asks them in this order.
local pair = ARGV[3] ~= '' and record_of(ARGV[3])
local name = record_of(ARGV[4])
local address = ARGV[5] ~= '' and record_of(ARGV[5])

local function bounds_of(known)
  local bounds = {}
  if pair then
    pair.by, pair.free = 'pair', free_pair
    table.insert(bounds, pair)
  end
  if not known then
    name.by, name.free = 'name', free_name
    table.insert(bounds, name)
    if address then
      address.by, address.free = 'address', free_address
      table.insert(bounds, address)
    end
  end
  return bounds
end

local function attempts_of(record)
  return math.ceil(math.max(record.forgotten - record.time, 0) / longest)
end

-- The key expires when nothing needs the record any more.
local function put(record)
  local left = math.max(record.forgotten, record.next, record.known) - now
  if left > 0 then
    redis.call('SET', record.key, struct.pack('<dddd', record.forgotten, record.counted, record.next, record.known), 'PX', digits(left))
  else
    redis.call('DEL', record.key)
  end
end

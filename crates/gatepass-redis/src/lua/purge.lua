-- Removes sessions and entries that nothing needs any more. ARGV[2]: the horizon, and how many it removes at most; of each it looks
-- at no more. A refresh does not move its session in the index; whoever finds it there too early does, and has the log not wait for it.
local horizon = math.min(tonumber(ARGV[2]), now)
local most = tonumber(ARGV[3])
local removed, looked = 0, 0
together({ prefix .. 'purge', prefix .. 'log', prefix .. 'log:purge' })
local index = prefix .. 'purge'
for _, id in ipairs(redis.call('ZRANGE', index, '-inf', horizon, 'BYSCORE', 'LIMIT', 0, most)) do
  looked = looked + 1
  local session = prefix .. 'session:' .. id
  local row = redis.call('GET', session)
  if not row then
    redis.call('ZREM', index, id)
  else
    local _, _, _, _, _, _, idle, access, _, ended = struct.unpack(STATE, row)
    local needed = ended >= 0 and access or math.max(idle, access)
    if after(needed, MARGIN) > horizon then
      redis.call('ZADD', index, after(needed, MARGIN), id)
    else
      local subject = prefix .. 'subject:' .. string.match(row, '^[^\n]*\n([^\n]*)\n', STATE_LENGTH + 1)
      together({ session, subject })
      redis.call('ZREM', index, id)
      redis.call('ZREM', subject, id)
      redis.call('DEL', session)
      removed = removed + 1
    end
  end
end
local log, forgotten = prefix .. 'log', prefix .. 'log:purge'
local numbers = redis.call('ZRANGE', forgotten, '-inf', horizon, 'BYSCORE', 'LIMIT', 0, most - removed)
for _, number in ipairs(numbers) do
  looked = looked + 1
  local place = number .. '-0'
  local entry = redis.call('XRANGE', log, place, place)[1]
  if entry then
    local fields = entry[2]
    if fields[6] then
      redis.call('ZREM', prefix .. 'tokens:' .. fields[2], fields[6])
    end
    redis.call('XDEL', log, place)
    removed = removed + 1
  end
  redis.call('ZREM', forgotten, number)
end
return { removed, looked }

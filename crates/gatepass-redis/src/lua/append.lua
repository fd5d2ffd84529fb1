-- Appends to the log: the end of the session `id`, or the revocation of its token `token`. Numbers are the
-- partition's own, so that no clock has a say in their order.
local function append(id, token, till)
  redis.call('HSETNX', KEYS[1], 'incarnation', ARGV[2])
  redis.call('HSETNX', KEYS[1], 'version', ARGV[3])
  local number = redis.call('HINCRBY', KEYS[1], 'number', 1)
  local log, forgotten = prefix .. 'log', prefix .. 'log:purge'
  local entry = { log, string.format('%.0f-0', number), 'session', id, 'until', till }
  if token then
    entry[7], entry[8] = 'token', token
  end
  redis.call('XADD', unpack(entry))
  redis.call('ZADD', forgotten, after(till, MARGIN), string.format('%.0f', number))
  keep(log, after(till, MARGIN))
  keep(forgotten, after(till, MARGIN))
end

-- Sees that all is there that the ends of these sessions of a subject change.
local function together_with(subject, ids)
  local keys = { prefix .. 'log', prefix .. 'log:purge', prefix .. 'purge', prefix .. 'subject:' .. subject }
  for _, id in ipairs(ids) do
    keys[#keys + 1] = prefix .. 'session:' .. id
  end
  together(keys)
end

-- `Session::end`, and its entry in the log. Returns until when the session's tokens may live, or nothing if it was
-- not this that ended it.
local function finish(id, reason)
  local session = prefix .. 'session:' .. id
  local row = redis.call('HMGET', session, 'subject', 'last_seen_at', 'access_until', 'ended_at')
  if not row[1] or row[4] then
    return nil
  end
  local till = tonumber(row[3])
  redis.call('HSET', session, 'ended_at', math.max(now, tonumber(row[2])), 'ended_reason', reason)
  redis.call('ZADD', prefix .. 'purge', after(till, MARGIN), id)
  redis.call('ZREM', prefix .. 'subject:' .. row[1], id)
  append(id, nil, till)
  return till
end

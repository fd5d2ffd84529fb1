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

-- Has a change that was made before be waited for like one that is made now: `WAIT` is about what its own connection has
-- written, in newer servers about nothing else.
local function written_again()
  redis.call('HSET', KEYS[1], 'repeated', now)
end

-- Whose session it is, or nothing if it is unknown.
local function subject_of(id)
  local row = redis.call('GET', prefix .. 'session:' .. id)
  return row and string.match(row, '^[^\n]*\n([^\n]*)\n', STATE_LENGTH + 1), row
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
  local row = redis.call('GET', session)
  if not row then
    return nil
  end
  local generation, s1, s2, s3, s4, seen, idle, access, absolute, ended, ttl, authenticated, recovered, created =
    struct.unpack(STATE, row)
  if ended >= 0 then
    return nil
  end
  local client, subject, rest = string.match(row, '^([^\n]*)\n([^\n]*)\n[^\n]*\n(.*)$', STATE_LENGTH + 1)
  local state = struct.pack(STATE, generation, s1, s2, s3, s4, seen, idle, access, absolute, math.max(now, seen), ttl,
    authenticated, recovered, created)
  redis.call('SET', session, state .. table.concat({ client, subject, reason, rest }, '\n'), 'KEEPTTL')
  redis.call('ZADD', prefix .. 'purge', after(access, MARGIN), id)
  redis.call('ZREM', prefix .. 'subject:' .. subject, id)
  append(id, nil, access)
  return access
end

-- Appends an entry to the log and returns its number. The partition counts its own numbers, so no
-- clock affects their order.
local function append(fields, till)
  redis.call('HSETNX', KEYS[1], 'incarnation', ARGV[2])
  redis.call('HSETNX', KEYS[1], 'version', ARGV[3])
  local number = redis.call('HINCRBY', KEYS[1], 'number', 1)
  local log, forgotten = prefix .. 'log', prefix .. 'log:purge'
  redis.call('XADD', log, digits(number) .. '-0', 'until', till, unpack(fields))
  redis.call('ZADD', forgotten, after(till, MARGIN), digits(number))
  keep(log, after(till, MARGIN))
  keep(forgotten, after(till, MARGIN))
  return number
end

-- Makes `WAIT` wait for a change that was made before, like for a new one. `WAIT` waits for the
-- writes of its own connection, and in newer servers for no others.
local function written_again()
  redis.call('HSET', KEYS[1], 'repeated', now)
end

-- Checks that this server has all keys that the end of a session or of all sessions of an account
-- changes.
local function together_with(account, id)
  together({ prefix .. 'log', prefix .. 'log:purge', prefix .. 'purge', prefix .. 'covered', prefix .. 'accounts',
    prefix .. 'account:' .. account, prefix .. 'sessions:' .. account, prefix .. 'ended:' .. account,
    prefix .. 'revoked:' .. account, prefix .. 'session:' .. id })
end

-- `Session::end`, and its log entry. Returns until when the session's tokens may be valid, or
-- nothing if this didn't end the session.
local function finish(id, reason)
  local session = prefix .. 'session:' .. id
  local row = redis.call('GET', session)
  if not row then
    return nil
  end
  local _, _, _, seen, _, _, access, _, ended, _, _, _, _, number = struct.unpack(STATE, row)
  if ended >= 0 or is_covered(row) then
    return nil
  end
  local account = string.sub(row, OWNER, LINES - 1)
  local before, rest = string.match(row, '^([^\n]*\n[^\n]*\n[^\n]*\n)[^\n]*\n(.*)$', LINES)
  local at = time_of(seen)
  access = math.max(access, at)
  local state = string.sub(row, 1, 48) .. struct.pack('<d', access) .. string.sub(row, 57, 64) .. struct.pack('<d', at)
    .. string.sub(row, 73, OWNER - 1)
  redis.call('SET', session, state .. account .. before .. reason .. '\n' .. rest, 'KEEPTTL')
  redis.call('ZADD', prefix .. 'purge', after(access, MARGIN), id)
  redis.call('ZREM', prefix .. 'sessions:' .. account, id)
  redis.call('ZADD', prefix .. 'ended:' .. account, number, id)
  keep(prefix .. 'ended:' .. account, after(access, MARGIN))
  append({ 'session', id }, access)
  return access
end

-- Ends sessions of an account by their numbers: writes the account, and replaces the account's last
-- log entry. The next purge looks at the sessions themselves. Returns what is revoked.
local function cut_off(account, last, till, up_to, except, entry, reason)
  if entry > 0 then
    redis.call('XDEL', prefix .. 'log', digits(entry) .. '-0')
    redis.call('ZREM', prefix .. 'log:purge', digits(entry))
  end
  entry = append({ 'account', account, 'up_to', digits(up_to), 'except', digits(except) }, till)
  redis.call('SET', prefix .. 'account:' .. account,
    struct.pack(ACCOUNT, last, till, up_to, except, now, entry) .. reason, 'KEEPTTL')
  redis.call('ZADD', prefix .. 'covered', 0, account)
  keep(prefix .. 'covered', after(till, MARGIN))
  return { 'all', up_to, except, till }
end

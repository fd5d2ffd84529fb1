-- Removes sessions, log entries and accounts that nothing needs any more. Returns how many it has
-- removed, how many it has looked at, and whether there may be more.
-- ARGV[2]: the horizon. ARGV[3]: the most that it removes, and the most of each kind that it looks
-- at.
local horizon = math.min(tonumber(ARGV[2]), now)
local most = tonumber(ARGV[3])
local removed, looked, more = 0, 0, false
local index, covered, accounts = prefix .. 'purge', prefix .. 'covered', prefix .. 'accounts'
local log, forgotten, begun = prefix .. 'log', prefix .. 'log:purge', prefix .. 'begun'
together({ index, covered, accounts, log, forgotten, begun })

-- If a session's key expires before a purge comes, its place in `begun` is left. It then becomes
-- the oldest one.
local oldest, keys = redis.call('ZRANGE', begun, '-', '+', 'BYLEX', 'LIMIT', 0, 10), {}
for at, member in ipairs(oldest) do
  keys[at] = prefix .. 'session:' .. string.sub(member, INSTANT + 1)
end
together(keys)
for at, member in ipairs(oldest) do
  if redis.call('EXISTS', keys[at]) == 0 then
    looked = looked + redis.call('ZREM', begun, member)
  end
end
more = looked == 10

local function remove_session(id, row)
  local account = string.sub(row, OWNER, LINES - 1)
  local keys = { prefix .. 'session:' .. id, prefix .. 'sessions:' .. account, prefix .. 'ended:' .. account }
  together(keys)
  redis.call('ZREM', index, id)
  redis.call('ZREM', begun, begun_at(struct.unpack('<d', row, 97), id))
  redis.call('ZREM', keys[2], id)
  redis.call('ZREM', keys[3], id)
  redis.call('DEL', keys[1])
  removed = removed + 1
  local _, _, till, _, _, _, entry = account_of(account)
  if entry > 0 then
    -- It may have been the last session that the account's log entry concerns.
    redis.call('ZADD', covered, 0, account)
    keep(covered, after(till, MARGIN))
  end
end

-- Marks sessions that have ended together as ended, so that a purge removes them when their access
-- tokens have expired. Returns whether it has seen all of them.
local function mark_covered(account, up_to, except)
  local live, over = prefix .. 'sessions:' .. account, prefix .. 'ended:' .. account
  together({ live, over })
  for _, id in ipairs(redis.call('ZRANGE', live, '-inf', digits(up_to), 'BYSCORE', 'LIMIT', 0, most + 2)) do
    local row = redis.call('GET', prefix .. 'session:' .. id)
    local number = row and struct.unpack('<d', row, 105)
    if not row then
      redis.call('ZREM', live, id)
    elseif number ~= except then
      if looked >= most then
        return false
      end
      looked = looked + 1
      local gone = after(struct.unpack('<d', row, 49), MARGIN)
      redis.call('ZREM', live, id)
      redis.call('ZADD', over, number, id)
      keep(over, gone)
      redis.call('ZADD', index, gone, id)
    end
  end
  return redis.call('ZCOUNT', live, '-inf', digits(up_to)) == redis.call('ZCOUNT', live, digits(except), digits(except))
end

-- Whether the account's log entry concerns no remaining session.
local function concerns_none(account, up_to, except)
  local over = prefix .. 'ended:' .. account
  return redis.call('ZCOUNT', over, '-inf', digits(up_to)) == redis.call('ZCOUNT', over, digits(except), digits(except))
end

local function forget_entry(account, row, entry)
  redis.call('XDEL', log, digits(entry) .. '-0')
  redis.call('ZREM', forgotten, digits(entry))
  redis.call('SET', prefix .. 'account:' .. account, string.sub(row, 1, 40) .. struct.pack('<d', 0)
    .. string.sub(row, REASON), 'KEEPTTL')
  removed = removed + 1
end

for _, account in ipairs(redis.call('ZRANGE', covered, '-inf', horizon, 'BYSCORE', 'LIMIT', 0, most)) do
  local row, _, till, up_to, except, moved, entry = account_of(account)
  if looked >= most or removed >= most or (row and not mark_covered(account, up_to, except)) then
    more = true
    break
  end
  looked = looked + 1
  redis.call('ZREM', covered, account)
  if row and entry > 0 and concerns_none(account, up_to, except) then
    -- `Account::droppable_at`.
    local droppable = math.min(moved + MARGIN, after(till, MARGIN))
    if droppable > horizon then
      redis.call('ZADD', covered, droppable, account)
      keep(covered, after(till, MARGIN))
    else
      forget_entry(account, row, entry)
    end
  end
end

-- A refresh doesn't move its session in the index. This corrects the index, and the log doesn't
-- wait for that.
local limit = most - removed
local ids = redis.call('ZRANGE', index, '-inf', horizon, 'BYSCORE', 'LIMIT', 0, limit)
for _, id in ipairs(ids) do
  looked = looked + 1
  local row = redis.call('GET', prefix .. 'session:' .. id)
  if not row then
    redis.call('ZREM', index, id)
  else
    local _, _, _, _, _, idle, access, _, ended = struct.unpack(STATE, row)
    local over = ended >= 0 or is_covered(row)
    local needed = after(over and access or math.max(idle, access), MARGIN)
    if needed > horizon then
      redis.call('ZADD', index, needed, id)
    else
      remove_session(id, row)
    end
  end
end
more = more or #ids == limit

limit = most - removed
local numbers = redis.call('ZRANGE', forgotten, '-inf', horizon, 'BYSCORE', 'LIMIT', 0, limit)
for _, number in ipairs(numbers) do
  looked = looked + 1
  local place = number .. '-0'
  local entry = redis.call('XRANGE', log, place, place)[1]
  local fields = entry and entry[2] or {}
  if fields[3] == 'account' then
    local row, _, _, _, _, _, last = account_of(fields[4])
    if row and digits(last) == number then
      forget_entry(fields[4], row, last)
      entry = nil
    end
  elseif fields[5] == 'token' then
    redis.call('ZREM', prefix .. 'tokens:' .. fields[4], fields[6])
    redis.call('ZREM', prefix .. 'revoked:' .. fields[8], fields[6])
  end
  if entry then
    redis.call('XDEL', log, place)
    removed = removed + 1
  end
  redis.call('ZREM', forgotten, number)
end
more = more or #numbers == limit

-- Removes an account with the last of its sessions, all of which are due.
local function remove_account(account, row, entry)
  local keys = { prefix .. 'sessions:' .. account, prefix .. 'ended:' .. account }
  together({ keys[1], keys[2], prefix .. 'account:' .. account })
  for _, key in ipairs(keys) do
    for _, id in ipairs(redis.call('ZRANGE', key, 0, most)) do
      local session = redis.call('GET', prefix .. 'session:' .. id)
      if removed >= most then
        return
      elseif session then
        remove_session(id, session)
      else
        redis.call('ZREM', key, id)
      end
    end
  end
  if entry > 0 and removed < most then
    forget_entry(account, row, entry)
    entry = 0
  end
  if removed < most and redis.call('EXISTS', keys[1], keys[2]) == 0 then
    redis.call('DEL', prefix .. 'account:' .. account)
    redis.call('ZREM', accounts, account)
    redis.call('ZREM', covered, account)
    removed = removed + 1
  end
end

limit = most - removed
local idle = redis.call('ZRANGE', accounts, '-inf', horizon, 'BYSCORE', 'LIMIT', 0, limit)
for _, account in ipairs(idle) do
  local row, _, till, _, _, _, entry = account_of(account)
  local gone = row and after(till, MARGIN)
  if not row then
    redis.call('ZREM', accounts, account)
  elseif gone > horizon then
    redis.call('ZADD', accounts, gone, account)
  else
    remove_account(account, row, entry)
  end
end
looked = looked + #idle
return { removed, looked, (more or #idle == limit or redis.call('ZCOUNT', covered, '-inf', horizon) > 0) and 1 or 0 }

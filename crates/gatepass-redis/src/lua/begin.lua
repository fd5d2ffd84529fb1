-- `Account::begin`, and `Account::end_up_to` if the account then has too many sessions. If a
-- session with this id exists, the answer has no number.
-- ARGV[4]: the id. ARGV[5]: the account. ARGV[6]: the lines of the session. ARGV[7]: the identity's
-- own lifetime. ARGV[8] to ARGV[10]: the idle, absolute and access lifetime. ARGV[11]: where the
-- session is seen from. ARGV[12]: how many other sessions are kept, or nothing. ARGV[13]: when the
-- user was authenticated, if that was before.
local id, account = ARGV[4], ARGV[5]
local session, index = prefix .. 'session:' .. id, prefix .. 'sessions:' .. account

local function is_usable(row)
  local _, _, _, seen, _, idle, access, absolute = struct.unpack(STATE, row)
  local time = time_of(seen)
  return time < absolute and (time < idle or time < access)
end

-- The number of the newest usable session after the `kept` newest ones. However many sessions there
-- are, it looks only at that many and at some that have expired.
local function newest_too_many(up_to, except, kept)
  local behind = '(' .. digits(up_to)
  local spared = except >= 0 and redis.call('ZRANGE', index, digits(except), digits(except), 'BYSCORE')[1]
  if redis.call('ZCOUNT', index, behind, '+inf') + (spared and 1 or 0) <= kept then
    return nil
  end
  local most = 2 * kept + 100
  local ids = redis.call('ZRANGE', index, '+inf', behind, 'BYSCORE', 'REV', 'LIMIT', 0, most)
  if spared and #ids < most then
    ids[#ids + 1] = spared
  end
  local usable = 0
  for _, other in ipairs(ids) do
    local row = redis.call('GET', prefix .. 'session:' .. other)
    if row and is_usable(row) then
      if usable == kept then
        return (struct.unpack('<d', row, 105))
      end
      usable = usable + 1
    end
  end
end

together_with(account, id)
together({ prefix .. 'begun' })
if redis.call('EXISTS', session) == 1 then
  return { now }
end
local row, last, till, up_to, except, since, entry = account_of(account)
local number = math.min(math.max(now, last + 1), 9007199254740991)
local ttl = tonumber(ARGV[7]) or -1
local absolute = after(now, ARGV[9])
local idle = math.min(now + ARGV[8], absolute)
local access = math.min(now + (ttl >= 0 and ttl or ARGV[10]), absolute)
till = math.max(till, absolute)
local answer = { now, number }
local kept = tonumber(ARGV[12])
local cut = kept and newest_too_many(up_to, except, kept)
if cut then
  answer[3] = cut_off(account, number, till, math.max(up_to, cut), except > cut and except or -1, entry, 'too_many_sessions')
else
  redis.call('SET', prefix .. 'account:' .. account,
    struct.pack(ACCOUNT, number, till, up_to, except, since, entry) .. (row and string.sub(row, REASON) or ''), 'KEEPTTL')
end
local state = struct.pack(STATE, 0, -1, -1, now, ARGV[11], idle, access, absolute, -1, ttl,
  math.min(tonumber(ARGV[13]) or now, now), -1, now, number, 0, 0, 0)
redis.call('SET', session, state .. account .. ARGV[6])
redis.call('ZADD', prefix .. 'purge', after(math.max(idle, access), MARGIN), id)
redis.call('ZADD', index, number, id)
redis.call('ZADD', prefix .. 'begun', 0, begun_at(now, id))
redis.call('ZADD', prefix .. 'accounts', 'NX', after(till, MARGIN), account)
-- A refresh touches none of these keys, and can't make the session live longer.
keep(session, after(absolute, MARGIN))
keep(index, after(absolute, MARGIN))
keep(prefix .. 'purge', after(absolute, MARGIN))
keep(prefix .. 'begun', after(absolute, MARGIN))
keep(prefix .. 'account:' .. account, after(till, MARGIN))
keep(prefix .. 'accounts', after(till, MARGIN))
return answer

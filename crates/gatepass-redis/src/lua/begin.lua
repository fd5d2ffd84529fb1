-- `Session::begin`, after ending the oldest of the subject's usable sessions where it has too many. ARGV[4]: the id, client,
-- subject, grant and its own lifetime, device, idle, absolute and access lifetime, how many others are kept or nothing.
local id, subject = ARGV[4], ARGV[6]
local session, index = prefix .. 'session:' .. id, prefix .. 'subject:' .. subject
local answer = { now }
local kept = tonumber(ARGV[13])
local others = kept and redis.call('ZREVRANGE', index, 0, -1) or {}
together_with(subject, others)
if kept then
  for _, other in ipairs(others) do
    local row = redis.call('HMGET', prefix .. 'session:' .. other, 'last_seen_at', 'idle_expires_at',
      'absolute_expires_at', 'access_until')
    if not row[1] then
      redis.call('ZREM', index, other)
    else
      local time = math.max(now, tonumber(row[1]))
      if time < tonumber(row[3]) and (time < tonumber(row[2]) or time < tonumber(row[4])) then
        kept = kept - 1
        if kept < 0 then
          local till = finish(other, 'too_many_sessions')
          if till then
            answer[#answer + 1] = other
            answer[#answer + 1] = till
          end
        end
      end
    end
  end
end
local absolute = after(now, ARGV[11])
local idle = math.min(now + ARGV[10], absolute)
local access = math.min(now + (tonumber(ARGV[8]) or ARGV[12]), absolute)
redis.call('HSET', session, 'subject', subject, 'client', ARGV[5], 'grant', ARGV[7], 'own_access_ttl', ARGV[8],
  'device', ARGV[9], 'generation', 0, 'spent', '', 'created_at', now, 'authenticated_at', now, 'last_seen_at', now,
  'idle_expires_at', idle, 'absolute_expires_at', absolute, 'access_until', access)
local purged = after(math.max(idle, access), MARGIN)
redis.call('ZADD', prefix .. 'purge', purged, id)
redis.call('ZADD', index, now, id)
keep(session, purged)
-- These are not touched by a refresh, which can let the session live until then.
keep(prefix .. 'purge', after(absolute, MARGIN))
keep(index, after(absolute, MARGIN))
return answer

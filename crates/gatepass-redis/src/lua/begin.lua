-- `Session::begin`, after ending the oldest of the subject's usable sessions where it has too many. ARGV[4]: the id, client,
-- subject, grant and its own lifetime, device, idle, absolute and access lifetime, how many others are kept or nothing.
local id, subject = ARGV[4], ARGV[6]
local session, index = prefix .. 'session:' .. id, prefix .. 'subject:' .. subject
local answer = { now }
local kept = tonumber(ARGV[13])
local others = kept and redis.call('ZREVRANGE', index, 0, -1) or {}
together({ session })
together_with(subject, others)
for _, other in ipairs(others) do
  local state = redis.call('GET', prefix .. 'session:' .. other)
  if not state then
    redis.call('ZREM', index, other)
  else
    local _, _, _, _, _, seen, idle, access, absolute = struct.unpack(STATE, state)
    local time = math.max(now, seen)
    if time < absolute and (time < idle or time < access) then
      kept = kept - 1
      local till = kept < 0 and finish(other, 'too_many_sessions')
      if till then
        answer[#answer + 1] = other
        answer[#answer + 1] = till
      end
    end
  end
end
local ttl = tonumber(ARGV[8]) or -1
local absolute = after(now, ARGV[11])
local idle = math.min(now + ARGV[10], absolute)
local access = math.min(now + (ttl >= 0 and ttl or ARGV[12]), absolute)
local state = struct.pack(STATE, 0, -1, -1, -1, -1, now, idle, access, absolute, -1, ttl, now, -1, now)
redis.call('SET', session, state .. table.concat({ ARGV[5], subject, '', ARGV[9], ARGV[7] }, '\n'))
redis.call('ZADD', prefix .. 'purge', after(math.max(idle, access), MARGIN), id)
redis.call('ZADD', index, now, id)
-- A refresh touches none of these, and cannot let the session live any longer.
keep(session, after(absolute, MARGIN))
keep(prefix .. 'purge', after(absolute, MARGIN))
keep(index, after(absolute, MARGIN))
return answer

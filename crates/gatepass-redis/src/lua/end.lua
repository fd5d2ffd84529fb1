-- Ends what is named. ARGV[4]: the reason, how it is named, the session's id or nothing, the subject or nothing.
-- Returns pairs: an id, and until when the session's tokens may live.
local reason, how, id, subject = ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local answer = {}
local function one(named)
  local till = finish(named, reason)
  if till then
    answer[#answer + 1] = named
    answer[#answer + 1] = till
  end
end
if how == 'session' then
  one(id)
elseif how == 'session_of' then
  if redis.call('HGET', prefix .. 'session:' .. id, 'subject') == subject then
    one(id)
  end
else
  for _, named in ipairs(redis.call('ZRANGE', prefix .. 'subject:' .. subject, 0, -1)) do
    if named ~= id then
      one(named)
    end
  end
end
return answer

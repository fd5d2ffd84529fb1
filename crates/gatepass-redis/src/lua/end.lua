-- Ends what is named. ARGV[4]: the reason, how it is named, the session's id or nothing, the subject or nothing.
-- Returns pairs: an id, and until when the session's tokens may live.
local reason, how, id, subject = ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local answer = {}
local named = { id }
if how == 'all' then
  named = {}
  for _, other in ipairs(redis.call('ZRANGE', prefix .. 'subject:' .. subject, 0, -1)) do
    if other ~= id then
      named[#named + 1] = other
    end
  end
else
  local owner = subject_of(id)
  if not owner or (how == 'session_of' and owner ~= subject) then
    written_again()
    return answer
  end
  subject = owner
end
together_with(subject, named)
for _, one in ipairs(named) do
  local till = finish(one, reason)
  if till then
    answer[#answer + 1] = one
    answer[#answer + 1] = till
  end
end
if #answer == 0 then
  written_again()
end
return answer

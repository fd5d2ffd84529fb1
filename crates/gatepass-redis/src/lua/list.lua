-- The sessions of a subject that have not ended, each behind its id, and the time before them. ARGV[2]: the subject.
local answer = { now }
local ids = redis.call('ZRANGE', prefix .. 'subject:' .. ARGV[2], 0, -1)
local keys = { prefix .. 'subject:' .. ARGV[2] }
for _, id in ipairs(ids) do
  keys[#keys + 1] = prefix .. 'session:' .. id
end
together(keys)
for _, id in ipairs(ids) do
  answer[#answer + 1] = id
  answer[#answer + 1] = redis.call('GET', prefix .. 'session:' .. id)
end
return answer

-- Remembers the services that use the store, if they are the first or join the others. Returns
-- those before.
-- ARGV[2]: 1 to join. ARGV[3] and later: each service as a text without line breaks.
local before = redis.call('HGET', KEYS[1], 'identities') or ''
if before == '' or ARGV[2] == '1' then
  local all, known = before, {}
  for text in string.gmatch(before, '[^\n]+') do
    known[text] = true
  end
  for at = 3, #ARGV do
    if not known[ARGV[at]] then
      all = all .. ARGV[at] .. '\n'
    end
  end
  if all ~= before then
    redis.call('HSET', KEYS[1], 'identities', all)
  end
end
return before

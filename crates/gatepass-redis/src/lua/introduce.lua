-- Remembers who uses the store if it is the first or joins the others, and returns those before. ARGV[2]: 1 to join, and each as a text
-- without line breaks.
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

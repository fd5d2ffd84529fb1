-- `CountAttempt::decide`. Returns `known` or `counted`, or the bound that is exceeded and how long
-- to wait.
local known = pair and pair.known > now
local bounds = bounds_of(known)
local by, wait = nil, 0
for _, record in ipairs(bounds) do
  local left = math.max(record.next - record.time, 0)
  if left > wait and left <= longest then
    by, wait = record.by, left
  end
end
if by then
  return { by, digits(wait) }
end
for _, record in ipairs(bounds) do
  local time = record.time
  local most = after(time, longest * (record.free + beyond))
  record.forgotten = after(math.min(math.max(record.forgotten, time), most), longest)
  record.counted = time
  local over = attempts_of(record) - record.free
  record.next = over >= 0 and after(time, math.min(first * 2 ^ over, longest)) or time
  put(record)
end
return { known and 'known' or 'counted', '0' }

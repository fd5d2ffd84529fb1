-- `SettleAttempt::decide`. ARGV[6]: whether the attempt counted for its pair alone. ARGV[7]:
-- whether the user has logged in.
for _, record in ipairs(bounds_of(ARGV[6] == '1')) do
  if ARGV[7] == '1' and record == pair then
    record.forgotten, record.counted, record.next, record.known = 0, 0, 0, after(now, known_for)
    put(record)
  elseif record.found then
    record.forgotten = math.max(record.forgotten - longest, 0)
    if attempts_of(record) < record.free then
      record.next = record.counted
    end
    put(record)
  end
end
return 1

-- Ends one session, or all sessions of an account. Returns what is revoked, or nothing.
-- ARGV[4]: the reason. ARGV[5]: `all`, or how the session is named. ARGV[6]: the session's id, or
-- nothing. ARGV[7]: the account, or nothing.
local reason, how, id, account = ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local session = id ~= '' and redis.call('GET', prefix .. 'session:' .. id)
local owner = session and string.sub(session, OWNER, LINES - 1)
if how ~= 'all' then
  if not owner or (how == 'session_of' and owner ~= account) then
    written_again()
    return false
  end
  together_with(owner, id)
  local access = finish(id, reason)
  if not access then
    written_again()
  end
  return access and { 'session', access }
end

-- `Account::end_all`. Keeps the session with the id `id` if it belongs to the account and has not
-- ended.
together_with(account, id)
local row, last, till, up_to, except, _, entry = account_of(account)
local kept = -1
if owner == account and struct.unpack('<d', session, 65) < 0 and not is_covered(session) then
  kept = struct.unpack('<d', session, 105)
end
if not row or (up_to == last and except == kept) then
  written_again()
  return false
end
return cut_off(account, last, till, last, kept, entry, reason)

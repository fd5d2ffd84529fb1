url='http://{address}'; json='Content-Type: application/json'; show='  (%{http_code})\n'
pick() { sed "s/.*\"$1\":\"\([^\"]*\)\".*/\1/"; }
login() { curl -sS "$url/auth/login" -H "$json" -d '{"username":"{name}","password":"{password}","device":"my shell"}'; }

tokens=$(login); access=$(echo "$tokens" | pick access_token); refresh=$(echo "$tokens" | pick refresh_token)
curl -sS -w "$show" "$url/me" -H "Authorization: Bearer $access"

tokens=$(curl -sS "$url/auth/refresh" -H "$json" -d '{"refresh_token":"'$refresh'"}'); access=$(echo "$tokens" | pick access_token)
curl -sS -w "$show" "$url/me" -H "Authorization: Bearer $access"

curl -sS -w "$show" -X POST "$url/auth/logout" -H "Authorization: Bearer $access"
curl -sS -w "$show" "$url/me" -H "Authorization: Bearer $access"

login >/dev/null; access=$(login | pick access_token)
curl -sS -w "$show" "$url/auth/sessions" -H "Authorization: Bearer $access"
curl -sS -w "$show" -X POST "$url/auth/logout-all" -H "Authorization: Bearer $access"
curl -sS -w "$show" "$url/me" -H "Authorization: Bearer $access"

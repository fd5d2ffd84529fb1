url='http://{address}'; json='Content-Type: application/json'; show='  (%{http_code})\n'
pick() { sed "s/.*\"$1\":\"\([^\"]*\)\".*/\1/"; }
login() { curl -sS "$url/auth/login" -H "$json" -d '{"username":"{name}","password":"{password}","device":"my shell"}'; }
# A call by hand: an empty message is five bytes of zero, and what comes back is binary but for its metadata. A refusal can be
# quicker than the message; older versions of curl then report an error 92 instead, and may be asked again. gRPC clients do not.
call() { printf '\0\0\0\0\0' | curl -sS --http2-prior-knowledge "$url/gatepass.example.v1.Account/$1" -H 'Content-Type: application/grpc' -H 'TE: trailers' -H "Authorization: Bearer $access" --data-binary @- -o /dev/null -D - | grep -E '^(grpc-|gatepass-)'; }

tokens=$(login); access=$(echo "$tokens" | pick access_token); refresh=$(echo "$tokens" | pick refresh_token)
call Me; call Admin

tokens=$(curl -sS "$url/auth/refresh" -H "$json" -d '{"refresh_token":"'$refresh'"}'); access=$(echo "$tokens" | pick access_token)
call Me

curl -sS -w "$show" -X POST "$url/auth/logout" -H "Authorization: Bearer $access"
curl -sS -w "$show" "$url/auth/sessions" -H "Authorization: Bearer $access"

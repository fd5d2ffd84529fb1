url='http://{address}'; json='Content-Type: application/json'; show='  (%{http_code})\n'; jar=$(mktemp)
ask() { curl -sS -b "$jar" -c "$jar" -w "$show" "$@"; }
login() { ask "$url/auth/login" -H "$json" -d '{"username":"{name}","password":"{password}","device":"my shell"}'; }

login; ask "$url/me"
ask -X POST "$url/auth/refresh"; ask "$url/me"
ask -X POST "$url/profile" -H 'Origin: https://elsewhere.example'
ask -X POST "$url/auth/logout"; ask "$url/me"

login; ask "$url/auth/sessions"
ask -X POST "$url/auth/logout-all"; rm "$jar"

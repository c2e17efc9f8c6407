# test_login.sh: keyrig exec --key a=keyrig --key b=yubikey-5.7 -- bash test_login.sh
set -euo pipefail
keyrig() { curl -sS --fail-with-body --json @- -H "Authorization: Bearer $KEYRIG_TOKEN" -X "$1" "$KEYRIG_URL/v1/$2"; }
navigator() { curl -sS "$SITE$2" | jq --arg origin "$3" '{origin: $origin, options: .}' | keyrig POST "client/$1"; }
site() { curl -sS --fail-with-body --json @- "$SITE$1" >&2; }
finger() { jq -n --arg key "$1" '{key: $key}' | keyrig PUT finger >/dev/null; }

origin=https://login.example.com
for key in a b; do
    finger $key
    navigator create /register $origin | site /register
    navigator get /login $origin | site /login
done
keyrig POST keys/a/unplug <<<'{}' >/dev/null
navigator get /login $origin | site /login
elsewhere=$(navigator get /login https://login.example.net 2>/dev/null || true)
test "$(jq -r .error.code <<<"$elsewhere")" = rp-id-foreign

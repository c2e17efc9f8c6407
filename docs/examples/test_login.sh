set -euo pipefail
json() { curl -sS --fail-with-body --json @- "$@"; }
keyrig() { json -H "Authorization: Bearer $KEYRIG_TOKEN" -X "$1" "$KEYRIG_URL/v1/$2"; }
site() { json "$SITE$1" >&2; }
navigator() {
    curl -sS "$SITE$2" | jq --arg origin "$3" '{$origin, options: .}' | keyrig POST "client/$1"
}

origin=https://login.example.com
for key in a b; do
    keyrig PUT finger <<<"{\"key\": \"$key\"}" >/dev/null
    navigator create /register $origin | site /register
done
keyrig POST keys/a/unplug <<<'{}' >/dev/null
navigator get /login $origin | site /login

elsewhere=$(navigator get /login https://login.example.net || true)
test "$(jq -r .error.code <<<"$elsewhere")" = rp-id-foreign

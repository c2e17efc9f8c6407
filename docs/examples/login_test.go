// go test login_test.go: a login by security keys.
// KEYRIG_URL and KEYRIG_TOKEN are those of 'keyrig exec', SITE is the site under test.
package login

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"testing"
)

type object = map[string]any

const origin = "https://login.example.com"

func send(t *testing.T, method, url, token string, body any) (int, json.RawMessage) {
	t.Helper()
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		content = bytes.NewReader(text)
	}
	request, err := http.NewRequest(method, url, content)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, answer
}

func keyrig(t *testing.T, method, path string, body any) (int, json.RawMessage) {
	t.Helper()
	return send(t, method, os.Getenv("KEYRIG_URL")+"/v1/"+path, os.Getenv("KEYRIG_TOKEN"), body)
}

// What the page at an origin gets from its browser, for the site's options.
func navigator(t *testing.T, ceremony, path, origin string) (int, json.RawMessage) {
	t.Helper()
	_, options := send(t, "GET", os.Getenv("SITE")+path, "", nil)
	return keyrig(t, "POST", "client/"+ceremony, object{"origin": origin, "options": options})
}

func passes(t *testing.T, ceremony, path string) {
	t.Helper()
	status, credential := navigator(t, ceremony, path, origin)
	if status != 200 {
		t.Fatalf("%s", credential)
	}
	if status, verdict := send(t, "POST", os.Getenv("SITE")+path, "", credential); status != 200 {
		t.Fatalf("%s", verdict)
	}
}

func TestASecondKeyReplacesALostOne(t *testing.T) {
	for _, key := range []string{"a", "b"} {
		keyrig(t, "PUT", "finger", object{"key": key})
		passes(t, "create", "/register")
		passes(t, "get", "/login")
	}
	if status, error := keyrig(t, "POST", "keys/a/unplug", nil); status != 200 {
		t.Fatalf("%s", error)
	}
	passes(t, "get", "/login")
}

func TestAPageFromElsewhereGetsNothing(t *testing.T) {
	status, refusal := navigator(t, "get", "/login", "https://login.example.net")
	var told struct{ Error struct{ Code, Name string } }
	if err := json.Unmarshal(refusal, &told); err != nil {
		t.Fatal(err)
	}
	if status != 422 || told.Error.Code != "rp-id-foreign" || told.Error.Name != "SecurityError" {
		t.Fatalf("%s", refusal)
	}
}

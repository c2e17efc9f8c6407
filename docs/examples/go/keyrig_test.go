// What 'keyrig exec' gives to the tests that it runs. Copy this file beside yours, once, and name
// its package as theirs.
package login

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"testing"
)

// What the user types where a key asks for a PIN. One that has none is given it.
const pin = "1234"

// Keyrig is the security keys, a finger over them, and a browser that finds them. What it cannot
// do ends the test.
type Keyrig struct{ T *testing.T }

// Create is navigator.credentials.create() in a page of an origin: options in, credential out.
func (k Keyrig) Create(origin string, options []byte) []byte {
	k.T.Helper()
	return k.do("POST", "client/create", page{origin, pin, options})
}

// Get is navigator.credentials.get().
func (k Keyrig) Get(origin string, options []byte) []byte {
	k.T.Helper()
	return k.do("POST", "client/get", page{origin, pin, options})
}

// Refused tells why a ceremony, "create" or "get", was refused. One that was not ends the test.
func (k Keyrig) Refused(ceremony, origin string, options []byte) Refusal {
	k.T.Helper()
	credential, refusal := k.ask("POST", "client/"+ceremony, page{origin, pin, options})
	if refusal == nil {
		k.T.Fatalf("%s at %s was not refused: %s", ceremony, origin, credential)
	}
	return *refusal
}

// Finger puts the finger over a key: it is touched when a page asks for that.
func (k Keyrig) Finger(key string) {
	k.T.Helper()
	k.do("PUT", "finger", map[string]string{"key": key})
}

// Unplug takes a key out.
func (k Keyrig) Unplug(key string) {
	k.T.Helper()
	k.do("POST", "keys/"+key+"/unplug", struct{}{})
}

// Plug puts it back.
func (k Keyrig) Plug(key string) {
	k.T.Helper()
	k.do("POST", "keys/"+key+"/plug", struct{}{})
}

// Refusal is what the page would catch, and the cause, which a browser keeps to itself.
type Refusal struct {
	Code      string // of 'keyrig explain'
	Name      string // of the exception
	Message   string
	RefusedBy string `json:"refused_by"` // "client" is the browser, "authenticator" the key
	Reason    string
}

func (r Refusal) String() string {
	if r.Reason == "" {
		return fmt.Sprintf("%s (%s)", r.Message, r.Code)
	}
	return fmt.Sprintf("%s by the %s: %s (%s)", r.Name, r.RefusedBy, r.Reason, r.Code)
}

type page struct {
	Origin  string          `json:"origin"`
	PIN     string          `json:"pin"`
	Options json.RawMessage `json:"options"`
}

func (k Keyrig) do(method, path string, body any) []byte {
	k.T.Helper()
	answer, refusal := k.ask(method, path, body)
	if refusal != nil {
		k.T.Fatalf("keyrig: %s %s: %s", method, path, refusal)
	}
	return answer
}

func (k Keyrig) ask(method, path string, body any) ([]byte, *Refusal) {
	k.T.Helper()
	url, token := os.Getenv("KEYRIG_URL"), os.Getenv("KEYRIG_TOKEN")
	if url == "" {
		k.T.Fatal("there is no KEYRIG_URL: run 'keyrig exec --key a=keyrig -- go test'")
	}
	content, err := json.Marshal(body)
	if err != nil {
		k.T.Fatal(err)
	}
	status, answer := send(k.T, method, url+"/v1/"+path, "Bearer "+token, content)
	if status == http.StatusOK {
		return answer, nil
	}
	var told struct{ Error *Refusal }
	if err := json.Unmarshal(answer, &told); err != nil || told.Error == nil {
		k.T.Fatalf("keyrig: %s %s: %d: %s", method, path, status, answer)
	}
	return nil, told.Error
}

// Site is what is tested, asked in JSON. An answer that is no success ends the test.
type Site struct {
	T   *testing.T
	URL string
}

func (s Site) Get(path string) []byte {
	s.T.Helper()
	return s.ask("GET", path, nil)
}

func (s Site) Post(path string, body []byte) []byte {
	s.T.Helper()
	return s.ask("POST", path, body)
}

func (s Site) ask(method, path string, body []byte) []byte {
	s.T.Helper()
	status, answer := send(s.T, method, s.URL+path, "", body)
	if status >= http.StatusMultipleChoices {
		s.T.Fatalf("%s %s: %d: %s", method, s.URL+path, status, answer)
	}
	return answer
}

func send(t *testing.T, method, url, authorization string, body []byte) (int, []byte) {
	t.Helper()
	request, err := http.NewRequest(method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	if authorization != "" {
		request.Header.Set("Authorization", authorization)
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

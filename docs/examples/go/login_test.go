package login

import (
	"os"
	"testing"
)

func TestASecondKeyReplacesALostOne(t *testing.T) {
	keyrig, site := Keyrig{t}, Site{t, os.Getenv("SITE")}
	for _, key := range []string{"a", "b"} {
		keyrig.Finger(key)
		options := site.Get("/register")
		site.Post("/register", keyrig.Create("https://login.example.com", options))
	}
	keyrig.Unplug("a")
	site.Post("/login", keyrig.Get("https://login.example.com", site.Get("/login")))
}

func TestAPageFromElsewhereGetsNothing(t *testing.T) {
	options := Site{t, os.Getenv("SITE")}.Get("/login")
	refusal := Keyrig{t}.Refused("get", "https://login.example.net", options)
	if refusal.Code != "rp-id-foreign" {
		t.Error(refusal)
	}
}

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;

class LoginTest {
  final Keyrig keyrig = new Keyrig();
  final Keyrig.Site site = new Keyrig.Site(System.getenv("SITE"));

  @Test void aSecondKeyReplacesALostOne() {
    for (var key : new String[] {"a", "b"}) {
      keyrig.finger(key);
      site.post("/register", keyrig.create("https://login.example.com", site.get("/register")));
    }
    keyrig.unplug("a");
    site.post("/login", keyrig.get("https://login.example.com", site.get("/login")));
  }

  @Test void aPageFromElsewhereGetsNothing() {
    var options = site.get("/login");
    var refused = assertThrows(
        Keyrig.Refused.class, () -> keyrig.get("https://login.example.net", options));
    assertEquals("rp-id-foreign", refused.code);
  }
}

// java LoginTest.java: a login by security keys, tested with what the JDK has.
// KEYRIG_URL and KEYRIG_TOKEN are those of 'keyrig exec', SITE is the site under test.
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;

public class LoginTest {
    static final String ORIGIN = "https://login.example.com";
    static final HttpClient http = HttpClient.newHttpClient();

    static HttpResponse<String> send(String method, String url, String body) throws Exception {
        var request = HttpRequest.newBuilder(URI.create(url)).method(method, BodyPublishers.ofString(body));
        request.header("Content-Type", "application/json").header("Authorization", "Bearer " + System.getenv("KEYRIG_TOKEN"));
        return http.send(request.build(), BodyHandlers.ofString());
    }

    static HttpResponse<String> keyrig(String method, String path, String body) throws Exception {
        return send(method, System.getenv("KEYRIG_URL") + "/v1/" + path, body);
    }

    /** What the page at an origin gets from the browser, for the site's options. */
    static HttpResponse<String> navigator(String ceremony, String what, String origin) throws Exception {
        var options = http.send(HttpRequest.newBuilder(URI.create(System.getenv("SITE") + what)).build(), BodyHandlers.ofString());
        return keyrig("POST", "client/" + ceremony, "{\"origin\":\"" + origin + "\",\"options\":" + options.body() + "}");
    }

    static void passes(String ceremony, String what) throws Exception {
        var credential = navigator(ceremony, what, ORIGIN);
        expect(credential.statusCode() == 200, credential.body());
        var request = HttpRequest.newBuilder(URI.create(System.getenv("SITE") + what)).POST(BodyPublishers.ofString(credential.body()));
        var verdict = http.send(request.build(), BodyHandlers.ofString());
        expect(verdict.statusCode() == 200, verdict.body());
    }

    static void finger(String key) throws Exception {
        expect(keyrig("PUT", "finger", "{\"key\":\"" + key + "\"}").statusCode() == 200, key);
    }

    static void expect(boolean fact, String otherwise) {
        if (!fact) throw new AssertionError(otherwise);
    }

    public static void main(String[] arguments) throws Exception {
        for (var key : new String[] {"a", "b"}) {
            finger(key);
            passes("create", "/register");
            passes("get", "/login");
        }
        expect(keyrig("POST", "keys/a/unplug", "").statusCode() == 200, "a can be lost");
        passes("get", "/login");
        var elsewhere = navigator("get", "/login", "https://login.example.net");
        expect(elsewhere.statusCode() == 422 && elsewhere.body().contains("\"rp-id-foreign\""), elsewhere.body());
        System.out.println("all passed");
    }
}
